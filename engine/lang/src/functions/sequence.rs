//! Functions of lists and tuples.
//!
//! The one decision: a function that only moves elements keeps each element as it is, with its own
//! marks and unknown parts; one that compares or adds them needs all of them known.

use mesh_model::Number;
use mesh_model::convert::unify;

use super::*;

const SEQUENCE: Param = Param::new("list", Ty::Any).parts().marked();

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "chunklist",
        &[Param::new("list", Ty::List).parts().marked(), Param::new("size", Ty::Number)],
        Ty::Lists,
        chunklist,
        "The list cut into lists of at most a size.",
    ),
    Function::new("coalescelist", &[], Ty::Any, coalescelist, "The first of the lists that is not empty.")
        .variadic(Param::new("vals", Ty::Any).nullable().parts()),
    Function::new(
        "compact",
        &[Param::new("list", Ty::Strings)],
        Ty::Strings,
        |_, a| {
            Ok(list(
                Type::String,
                items(a, 0).iter().filter(|v| v.as_str().is_some_and(|s| !s.is_empty())).cloned().collect(),
            ))
        },
        "The list without null and empty texts.",
    ),
    Function::new("concat", &[], Ty::Any, concat, "All elements of all lists, in order.")
        .variadic(Param::new("seqs", Ty::Any).parts().marked()),
    Function::new(
        "distinct",
        &[Param::new("list", Ty::List)],
        Ty::List,
        distinct,
        "The list without elements that came before.",
    )
    .typed(first_type),
    Function::new(
        "element",
        &[SEQUENCE, Param::new("index", Ty::Number)],
        Ty::Any,
        element,
        "The element at an index that wraps around at the end.",
    )
    .typed(element_type),
    Function::new(
        "flatten",
        &[SEQUENCE],
        Ty::Any,
        flatten,
        "The list with all lists in it replaced by their elements.",
    ),
    Function::new(
        "index",
        &[Param::new("list", Ty::Any), Param::new("value", Ty::Any)],
        Ty::Number,
        index,
        "Where in the list a value is first.",
    ),
    Function::new("range", &[], Ty::Numbers, range, "Numbers from a start up to a limit, by a step.")
        .variadic(Param::new("params", Ty::Number)),
    Function::new("reverse", &[SEQUENCE], Ty::Any, reverse, "The elements in reverse order.").typed(first_type),
    Function::new(
        "slice",
        &[SEQUENCE, Param::new("start_index", Ty::Number), Param::new("end_index", Ty::Number)],
        Ty::Any,
        slice,
        "The elements from a start up to, and without, an end.",
    ),
    Function::new(
        "sort",
        &[Param::new("list", Ty::Strings).parts()],
        Ty::Strings,
        sort,
        "The texts in order of their code points.",
    ),
    Function::new("sum", &[Param::new("list", Ty::Any)], Ty::Number, sum, "The sum of the numbers."),
];

fn list(element: Type, items: Vec<Value>) -> Value {
    Value::list(element, items)
}

fn first_type(args: &[Value]) -> Type {
    args.first().map_or(Type::Dynamic, Value::ty)
}

fn element_type(args: &[Value]) -> Type {
    match args.first().map(Value::ty) {
        Some(Type::List(t)) => (*t).clone(),
        _ => Type::Dynamic,
    }
}

/// The element type of a list or set.
fn of(value: &Value) -> Type {
    match value.kind() {
        Kind::List(t, _) | Kind::Set(t, _) => t.clone(),
        _ => Type::Dynamic,
    }
}

fn chunklist(_: &Context, args: &[Value]) -> Outcome {
    let size = whole(args, 1)?;
    let Ok(size) = usize::try_from(size) else {
        return Err(CallError::at(1, "a size cannot be negative; 0 keeps all in one"));
    };
    let (element, all) = (of(&args[0]), items(args, 0));
    let size = if size == 0 { all.len().max(1) } else { size };
    let chunks = all.chunks(size).map(|c| list(element.clone(), c.to_vec())).collect();
    Ok(list(Type::list(element), chunks))
}

fn coalescelist(_: &Context, args: &[Value]) -> Outcome {
    if args.is_empty() {
        return Err(CallError::new("give at least one list"));
    }
    if let Some(at) = args.iter().position(|a| !matches!(a.kind(), Kind::List(..) | Kind::Tuple(_))) {
        return Err(CallError::at(at, "a list or tuple is needed"));
    }
    let filled = args.iter().find(|a| a.as_items().is_some_and(|i| !i.is_empty()));
    filled.cloned().ok_or_else(|| CallError::new("all lists are empty; add a default as the last one"))
}

fn concat(_: &Context, args: &[Value]) -> Outcome {
    if args.is_empty() {
        return Err(CallError::new("give at least one list"));
    }
    for (i, arg) in args.iter().enumerate() {
        if !matches!(arg.kind(), Kind::List(..) | Kind::Tuple(_)) {
            let have = arg.ty().friendly();
            return Err(CallError::at(i, format!("only lists and tuples can be joined, not {have}")));
        }
    }
    if args.iter().map(|a| a.as_items().map_or(0, |i| i.len())).sum::<usize>() > MAX_ITEMS {
        return Err(too_many());
    }
    let all: Vec<Value> = args.iter().filter_map(Value::as_items).flat_map(|i| i.iter().cloned()).collect();
    if args.iter().all(|a| matches!(a.kind(), Kind::List(..)))
        && let Some(element) = unify(&args.iter().map(of).collect::<Vec<_>>())
        && let Ok(done) = convert(&Value::tuple(all.clone()), &Type::list(element))
    {
        return Ok(done);
    }
    Ok(Value::tuple(all))
}

pub(super) fn too_many() -> CallError {
    CallError::new(format!("the result would have more than {MAX_ITEMS} elements"))
}

fn distinct(_: &Context, args: &[Value]) -> Outcome {
    let mut seen = std::collections::BTreeSet::new();
    let kept = items(args, 0).iter().filter(|v| seen.insert(Ordered((*v).clone()))).cloned().collect();
    Ok(list(of(&args[0]), kept))
}

/// A value that can be a key of an ordered collection.
struct Ordered(Value);

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

fn element(_: &Context, args: &[Value]) -> Outcome {
    if !matches!(args[0].kind(), Kind::List(..) | Kind::Tuple(_)) {
        return Err(CallError::at(
            0,
            format!("only lists and tuples have elements by number, not {}", args[0].ty().friendly()),
        ));
    }
    let index = whole(args, 1)?;
    let all = items(args, 0);
    if all.is_empty() {
        return Err(CallError::at(0, "it is empty"));
    }
    let Ok(index) = usize::try_from(index) else {
        return Err(CallError::at(1, "an index cannot be negative; from the end, count down from length"));
    };
    Ok(all[index % all.len()].clone())
}

fn flatten(_: &Context, args: &[Value]) -> Outcome {
    if args[0].as_items().is_none() {
        return Err(CallError::at(0, "a list, set or tuple is needed"));
    }
    let mut out = Vec::new();
    let mut marks = Marks::NONE;
    if flat(&args[0], &mut out, &mut marks)? {
        return Ok(Value::unknown(Type::Dynamic).mark(out.iter().fold(marks, |m, v| m.union(v.all_marks()))));
    }
    Ok(Value::tuple(out).mark(marks))
}

/// Whether something unknown could turn out to be a list.
fn flat(value: &Value, out: &mut Vec<Value>, marks: &mut Marks) -> Result<bool, CallError> {
    let mut open = false;
    for item in value.as_items().map_or(&[][..], |i| &**i) {
        if item.as_items().is_some() {
            *marks = marks.union(item.marks());
            open |= flat(item, out, marks)?;
        } else {
            open |=
                item.is_unknown() && !item.ty().is_primitive() && !matches!(item.ty(), Type::Map(_) | Type::Object(_));
            out.push(item.clone());
        }
        if out.len() > MAX_ITEMS {
            return Err(too_many());
        }
    }
    Ok(open)
}

fn index(_: &Context, args: &[Value]) -> Outcome {
    if !matches!(args[0].kind(), Kind::List(..) | Kind::Tuple(_)) {
        return Err(CallError::at(0, "a list or tuple is needed"));
    }
    let all = items(args, 0);
    if all.is_empty() {
        return Err(CallError::at(0, "it is empty"));
    }
    let found = all.iter().position(|v| v.same(&args[1]));
    found.map(Value::number).ok_or_else(|| CallError::at(1, "the list does not have it; contains tells beforehand"))
}

fn range(_: &Context, args: &[Value]) -> Outcome {
    const MOST: usize = 1024;
    let n = |i: usize| args.get(i).and_then(Value::as_number).cloned().unwrap_or(Number::Int(0));
    let zero = Number::Int(0);
    let sign = |down: bool| Number::Int(if down { -1 } else { 1 });
    let (start, end, step) = match args.len() {
        1 => (zero.clone(), n(0), sign(n(0) < zero)),
        2 => (n(0), n(1), sign(n(1) < n(0))),
        3 => (n(0), n(1), n(2)),
        _ => return Err(CallError::new("give a limit, or a start and a limit, or a start, a limit and a step")),
    };
    let down = step < zero;
    if args.len() == 3 && down && end > start {
        return Err(CallError::at(2, "the step goes down, but the limit is above the start"));
    }
    if args.len() == 3 && !down && end < start {
        return Err(CallError::at(2, "the step goes up, but the limit is below the start"));
    }
    let mut out = Vec::new();
    let mut at = start;
    while if down { at > end } else { at < end } {
        if out.len() == MOST {
            return Err(CallError::new(format!(
                "it would give more than {MOST} numbers; take a larger step, or a limit nearer to the start"
            )));
        }
        out.push(Value::number(at.clone()));
        at = at.add(&step).ok_or_else(|| CallError::new("the step is not a number"))?;
    }
    Ok(list(Type::Number, out))
}

fn reverse(_: &Context, args: &[Value]) -> Outcome {
    let reversed: Vec<Value> = items(args, 0).iter().rev().cloned().collect();
    match args[0].kind() {
        Kind::Tuple(_) => Ok(Value::tuple(reversed)),
        Kind::List(t, _) | Kind::Set(t, _) => Ok(list(t.clone(), reversed)),
        _ => Err(CallError::at(0, format!("only lists and tuples can be reversed, not {}", args[0].ty().friendly()))),
    }
}

fn slice(_: &Context, args: &[Value]) -> Outcome {
    match args[0].kind() {
        Kind::List(..) | Kind::Tuple(_) => {}
        Kind::Set(..) => {
            return Err(CallError::at(
                0,
                "the elements of a set have no places; make a list of it with tolist or sort",
            ));
        }
        _ => return Err(CallError::at(0, "a list or tuple is needed")),
    }
    let all = items(args, 0);
    let (start, end) = (whole(args, 1)?, whole(args, 2)?);
    let Ok(from) = usize::try_from(start) else {
        return Err(CallError::at(1, "a start cannot be negative"));
    };
    if from > all.len() {
        return Err(CallError::at(1, format!("the list ends before that, at {}", all.len())));
    }
    if start > end {
        return Err(CallError::at(1, "the start is behind the end"));
    }
    let Some(part) = usize::try_from(end).ok().and_then(|end| all.get(from..end)) else {
        return Err(CallError::at(2, format!("the list ends before that, at {}", all.len())));
    };
    Ok(match args[0].kind() {
        Kind::Tuple(_) => Value::tuple(part),
        _ => list(of(&args[0]), part.to_vec()),
    })
}

fn sort(_: &Context, args: &[Value]) -> Outcome {
    let mut all = items(args, 0).to_vec();
    if all.iter().any(Value::is_unknown) {
        return Ok(list(Type::String, vec![Value::unknown(Type::String); all.len()]));
    }
    if let Some(i) = all.iter().position(Value::is_null) {
        return Err(CallError::at(0, format!("element {i} is null; compact removes nulls")));
    }
    all.sort_by(Value::total_cmp);
    Ok(list(Type::String, all))
}

fn sum(_: &Context, args: &[Value]) -> Outcome {
    let wrong = || CallError::at(0, "only numbers can be added up");
    let Some(all) = args[0].as_items() else {
        return Err(CallError::at(0, "a list, set or tuple is needed; of a map, take values"));
    };
    if all.is_empty() {
        return Err(CallError::at(0, "it is empty; concat can put a 0 in front"));
    }
    let mut total: Option<Number> = None;
    for item in all.iter() {
        let item = convert(item, &Type::Number).map_err(|_| wrong())?;
        let next = item.as_number().ok_or_else(wrong)?;
        let sum = total.map_or_else(|| Some(next.clone()), |t| t.add(next));
        total = Some(sum.ok_or_else(|| CallError::new("infinity and its negative have no sum"))?);
    }
    Ok(Value::number(total.unwrap_or(Number::Int(0))))
}
