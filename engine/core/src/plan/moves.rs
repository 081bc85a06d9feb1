//! Moves: what `moved` blocks and a change of repetition rename in state, before anything is planned.
//!
//! The one decision: moves are executed on the snapshot in memory, one instance at a time and in an
//! order in which chains collapse (`a -> b`, `b -> c`); the executed renames are the very records that
//! applying writes first. Nothing else in planning knows that an object had another address.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use mesh_lang::{Config, Resource, Target};
use mesh_model::{Address, Diagnostic, Diagnostics, InstanceKey, Mode, ModulePath, ResourceAddress, Snapshot, Span};

/// What was renamed.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// From and to, in the order of execution.
    pub(super) done: Vec<(Address, Address)>,
    /// Where the object of an address was when the run began.
    pub(super) previous: HashMap<Address, Address>,
    /// Moves that form a circle, and warnings about destinations that are taken.
    pub(super) diagnostics: Diagnostics,
    left: Vec<Left>,
}

impl Moves {
    /// What is said to have moved away from instances of a block.
    pub(super) fn left(&self, config: &Config, module: usize, block: &Resource) -> Vec<&Left> {
        if self.left.is_empty() {
            return Vec::new();
        }
        let module = config.modules[module].path.clone();
        let block = ResourceAddress { module, mode: block.mode, ty: block.ty.clone(), name: block.name.clone() };
        self.left.iter().filter(|l| l.0.names(&block)).collect()
    }
}

/// What a statement moves away from, and where it stands.
#[derive(Debug)]
pub(super) struct Left(Pattern, Span);

impl Left {
    /// The error about an instance that is configured nevertheless.
    pub(super) fn error(&self, configured: &Address) -> Option<Diagnostic> {
        self.0.covers(configured).then(|| {
            let detail = format!(
                "{configured} is still configured, so what is there cannot have moved away. Remove its configuration, or this moved block."
            );
            Diagnostic::error("plan::moved_exists", "Moved, but still there", detail).at(self.1).on(configured)
        })
    }
}

/// A statement with the module that it stands in.
struct Statement<'c> {
    module: &'c [Arc<str>],
    from: &'c Target,
    to: &'c Target,
    span: Span,
}

/// The key of one step of a pattern.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Key {
    Any,
    Exactly(Option<InstanceKey>),
}

/// What a statement's side stands for: module steps, and a resource or nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Pattern {
    modules: Vec<(Arc<str>, Key)>,
    resource: Option<(Arc<str>, Arc<str>, Key)>,
}

fn meets(a: &Key, b: &Key) -> bool {
    *a == Key::Any || *b == Key::Any || a == b
}

impl Pattern {
    fn of(module: &[Arc<str>], target: &Target, whole: bool) -> Self {
        let last = |key: &Option<InstanceKey>| if whole { Key::Any } else { Key::Exactly(key.clone()) };
        let mut modules: Vec<_> = module.iter().map(|n| (n.clone(), Key::Any)).collect();
        let (path, resource) = match target {
            Target::Module(path) => (path, None),
            Target::Resource(a) => (&a.module, Some((a.ty.clone(), a.name.clone(), last(&a.key)))),
        };
        for (i, (name, key)) in path.0.iter().enumerate() {
            let end = resource.is_none() && i + 1 == path.0.len();
            modules.push((name.clone(), if end { last(key) } else { Key::Exactly(key.clone()) }));
        }
        Self { modules, resource }
    }

    /// Whether something that this stands for lies in what `other` stands for.
    fn within(&self, other: &Self) -> bool {
        let steps = self.modules.iter().zip(&other.modules);
        if other.modules.len() > self.modules.len() || !steps.clone().all(|((a, k), (b, l))| a == b && meets(k, l)) {
            return false;
        }
        match (&self.resource, &other.resource) {
            (_, None) => true,
            (Some((ty, name, key)), Some((t, n, k))) => {
                self.modules.len() == other.modules.len() && ty == t && name == n && meets(key, k)
            }
            (None, Some(_)) => false,
        }
    }

    /// Whether something in a block may be covered.
    fn names(&self, block: &ResourceAddress) -> bool {
        let steps = self.modules.iter().map(|(n, _)| n);
        match &self.resource {
            Some((ty, name, _)) => block.ty == *ty && block.name == *name && block.module.iter().eq(steps),
            None => block.module.len() >= self.modules.len() && block.module.iter().zip(steps).all(|(a, b)| a == b),
        }
    }

    fn covers(&self, address: &Address) -> bool {
        let exact = Self {
            modules: address.module.0.iter().map(|(n, k)| (n.clone(), Key::Exactly(k.clone()))).collect(),
            resource: Some((address.ty.clone(), address.name.clone(), Key::Exactly(address.key.clone()))),
        };
        exact.within(self)
    }
}

impl Statement<'_> {
    /// Whether both sides lack a key at their end: then all instances move.
    fn whole(&self) -> bool {
        let keyed = |t: &Target| match t {
            Target::Module(path) => path.0.last().is_some_and(|(_, k)| k.is_some()),
            Target::Resource(a) => a.key.is_some(),
        };
        !keyed(self.from) && !keyed(self.to)
    }

    fn from(&self) -> Pattern {
        Pattern::of(self.module, self.from, self.whole())
    }

    fn to(&self) -> Pattern {
        Pattern::of(self.module, self.to, self.whole())
    }

    /// The new address of something that `from` covers.
    fn renamed(&self, address: &Address) -> Address {
        let depth = self.module.len();
        let steps = &address.module.0;
        let mut module: Vec<_> = steps[..depth].to_vec();
        match (self.from, self.to) {
            (Target::Module(from), Target::Module(to)) => {
                let last = depth + from.0.len() - 1;
                module.extend(to.0.iter().cloned());
                if let Some((_, key)) = module.last_mut().filter(|_| self.whole()) {
                    key.clone_from(&steps[last].1);
                }
                module.extend_from_slice(&steps[last + 1..]);
                Address { module: ModulePath(module.into()), ..address.clone() }
            }
            (_, Target::Resource(to)) => {
                module.extend(to.module.0.iter().cloned());
                let key = if self.whole() { address.key.clone() } else { to.key.clone() };
                Address { module: ModulePath(module.into()), name: to.name.clone(), key, ..address.clone() }
            }
            (Target::Resource(_), Target::Module(_)) => address.clone(),
        }
    }
}

/// Executes all moves of a configuration on a snapshot.
pub(super) fn execute(config: &Config, snapshot: &mut Snapshot) -> Moves {
    let statements: Vec<Statement<'_>> = config
        .modules
        .iter()
        .flat_map(|m| m.moved.iter().map(|s| Statement { module: &m.path, from: &s.from, to: &s.to, span: s.span }))
        .collect();
    let mut ambiguous = ambiguous(&statements);
    let mut moves = Moves { left: statements.iter().map(|s| Left(s.from(), s.span)).collect(), ..Moves::default() };
    let mut index: HashMap<ResourceAddress, BTreeSet<Address>> = HashMap::new();
    for address in snapshot.instances.keys().chain(snapshot.deposed.keys().map(|(a, _)| a)) {
        index.entry(address.resource()).or_default().insert(address.clone());
    }
    moves.diagnostics.0.append(&mut ambiguous.0);
    let Some(order) = order(&statements, &mut moves.diagnostics) else { return moves };
    for i in order {
        let statement = &statements[i];
        let from = statement.from();
        for address in found(&index, &from) {
            let to = statement.renamed(&address);
            rename(snapshot, &mut index, &mut moves, address, to, Some(statement.span));
        }
    }
    let touched: Vec<Pattern> = statements.iter().flat_map(|s| [s.from(), s.to()]).collect();
    implied(config, snapshot, &mut index, &mut moves, &touched);
    moves
}

/// Statements of which at most one can be right: what has moved to two places, or came from two.
fn ambiguous(statements: &[Statement<'_>]) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    let (mut sources, mut destinations) = (HashMap::new(), HashMap::new());
    for statement in statements {
        let (from, to) = (statement.from(), statement.to());
        if from == to {
            let detail = "Both addresses are one, so nothing moves. Remove this block.";
            diagnostics.push(Diagnostic::error("plan::moved_nowhere", "Moved to itself", detail).at(statement.span));
            continue;
        }
        let twice = [
            (sources.insert(from, statement.span), "Another moved block moves the same away, to another place."),
            (destinations.insert(to, statement.span), "Another moved block moves something else to the same place."),
        ];
        for (first, why) in twice.into_iter().filter_map(|(first, why)| Some((first?, why))) {
            let detail = format!("{why} An object has one address before and one after. Remove one of the two blocks.");
            diagnostics.push(
                Diagnostic::error("plan::moved_twice", "Moved twice", detail)
                    .at(statement.span)
                    .with(first, "the other"),
            );
        }
    }
    diagnostics
}

/// The addresses in state that a pattern covers.
fn found(index: &HashMap<ResourceAddress, BTreeSet<Address>>, pattern: &Pattern) -> Vec<Address> {
    match &pattern.resource {
        Some((ty, name, _)) => {
            let names = pattern.modules.iter().map(|(n, _)| n.clone()).collect();
            let block = ResourceAddress { module: names, mode: Mode::Managed, ty: ty.clone(), name: name.clone() };
            index.get(&block).into_iter().flatten().filter(|a| pattern.covers(a)).cloned().collect()
        }
        None => {
            let mut out: Vec<Address> = index
                .iter()
                .filter(|(block, _)| pattern.names(block))
                .flat_map(|(_, list)| list.iter().filter(|a| pattern.covers(a)).cloned())
                .collect();
            out.sort();
            out
        }
    }
}

fn rename(
    snapshot: &mut Snapshot,
    index: &mut HashMap<ResourceAddress, BTreeSet<Address>>,
    moves: &mut Moves,
    from: Address,
    to: Address,
    span: Option<Span>,
) {
    if index.get(&to.resource()).is_some_and(|l| l.contains(&to)) {
        if let Some(span) = span {
            let detail = format!(
                "{from} would move to {to}, but state has an object there already, so it stays where it is (and is planned to be \
                 deleted, since nothing is configured there). Decide which of the two is meant, for example with another moved block."
            );
            moves
                .diagnostics
                .push(Diagnostic::warning("plan::moved_taken", "The destination of a move is taken", detail).at(span));
        }
        return;
    }
    if let Some(instance) = snapshot.instances.remove(&from) {
        snapshot.instances.insert(to.clone(), instance);
    }
    let keys: Vec<Arc<str>> = snapshot
        .deposed
        .range((from.clone(), Arc::from(""))..)
        .map_while(|((a, k), _)| (*a == from).then(|| k.clone()))
        .collect();
    for key in keys {
        if let Some(instance) = snapshot.deposed.remove(&(from.clone(), key.clone())) {
            snapshot.deposed.insert((to.clone(), key), instance);
        }
    }
    if let Some(list) = index.get_mut(&from.resource()) {
        list.remove(&from);
    }
    index.entry(to.resource()).or_default().insert(to.clone());
    let first = moves.previous.remove(&from).unwrap_or_else(|| from.clone());
    moves.previous.insert(to.clone(), first);
    moves.done.push((from, to));
}

/// Turning `count` on or off keeps the only instance, unless a statement speaks about it.
fn implied(
    config: &Config,
    snapshot: &mut Snapshot,
    index: &mut HashMap<ResourceAddress, BTreeSet<Address>>,
    moves: &mut Moves,
    touched: &[Pattern],
) {
    for module in &config.modules {
        for block in module.resources.iter().filter(|r| r.mode == Mode::Managed && r.for_each.is_none()) {
            let resource = ResourceAddress {
                module: module.path.clone(),
                mode: Mode::Managed,
                ty: block.ty.clone(),
                name: block.name.clone(),
            };
            let (old, new) = match &block.count {
                Some(_) => (None, Some(InstanceKey::Index(0))),
                None => (Some(InstanceKey::Index(0)), None),
            };
            let Some(list) = index.get(&resource) else { continue };
            let list: Vec<Address> = list.iter().filter(|a| a.key == old).cloned().collect();
            for address in list {
                let to = Address { key: new.clone(), ..address.clone() };
                if !touched.iter().any(|p| p.covers(&address) || p.covers(&to)) {
                    rename(snapshot, index, moves, address, to, None);
                }
            }
        }
    }
}

/// An order in which a statement runs after those that feed it; `None` after reporting a circle.
fn order(statements: &[Statement<'_>], diagnostics: &mut Diagnostics) -> Option<Vec<usize>> {
    let sides: Vec<(Pattern, Pattern)> = statements.iter().map(|s| (s.from(), s.to())).collect();
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); statements.len()];
    let mut missing = vec![0_usize; statements.len()];
    for (i, j) in pairs(&sides) {
        let (first, second) = (&sides[i], &sides[j]);
        let feeds = second.0.within(&first.1) || first.1.within(&second.0);
        let narrower = first.0 != second.0 && first.0.within(&second.0);
        if feeds || narrower {
            after[i].push(j);
            missing[j] += 1;
        }
    }
    let mut ready: VecDeque<usize> = (0..statements.len()).filter(|i| missing[*i] == 0).collect();
    let mut order = Vec::with_capacity(statements.len());
    while let Some(i) = ready.pop_front() {
        order.push(i);
        for &j in &after[i] {
            missing[j] -= 1;
            if missing[j] == 0 {
                ready.push_back(j);
            }
        }
    }
    if order.len() == statements.len() {
        return Some(order);
    }
    let circle: Vec<usize> = (0..statements.len()).filter(|i| missing[*i] > 0).collect();
    let detail = "These moves lead into each other, so that no order of them makes sense. Remove those that are done everywhere.";
    let mut diagnostic =
        Diagnostic::error("plan::moved_circle", "Moves form a circle", detail).at(statements[circle[0]].span);
    for i in &circle[1..] {
        diagnostic = diagnostic.with(statements[*i].span, "and this one");
    }
    diagnostics.push(diagnostic);
    None
}

/// Pairs that can have to do with each other: those that name the same block, and every pair with a
/// module in it (of which there are few).
fn pairs(sides: &[(Pattern, Pattern)]) -> Vec<(usize, usize)> {
    let name = |p: &Pattern| {
        let (ty, name, _) = p.resource.as_ref()?;
        let module = p.modules.iter().map(|(n, _)| n.clone()).collect();
        Some(ResourceAddress { module, mode: Mode::Managed, ty: ty.clone(), name: name.clone() })
    };
    let mut by_from: HashMap<_, Vec<usize>> = HashMap::new();
    let mut modules = Vec::new();
    for (i, (from, _)) in sides.iter().enumerate() {
        match name(from) {
            Some(name) => by_from.entry(name).or_default().push(i),
            None => modules.push(i),
        }
    }
    let mut out = HashSet::new();
    for (i, (from, to)) in sides.iter().enumerate() {
        for side in [from, to] {
            match name(side) {
                Some(name) => out.extend(by_from.get(&name).into_iter().flatten().map(|j| (i, *j))),
                None => out.extend((0..sides.len()).map(|j| (i, j))),
            }
        }
        out.extend(modules.iter().map(|j| (i, *j)));
    }
    let mut out: Vec<_> = out.into_iter().filter(|(i, j)| i != j).collect();
    out.sort_unstable();
    out
}
