//! Functions of sets.
//!
//! The one decision: lists are taken as sets of one common element type, found before anything is
//! compared, so that `1` and `"1"` are the same element in both.

use mesh_model::convert::unify;

use super::*;

const FIRST: Param = Param::new("first_set", Ty::Set);
const OTHERS: Param = Param::new("other_sets", Ty::Set);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "setintersection",
        &[FIRST],
        Ty::Set,
        |_, a| combine(a, |sets, v| sets.iter().all(|s| has(s, v))),
        "The elements that all sets have.",
    )
    .variadic(OTHERS),
    Function::new("setproduct", &[], Ty::Any, setproduct, "All combinations of one element of each set.")
        .variadic(Param::new("sets", Ty::Any).parts().marked()),
    Function::new(
        "setsubtract",
        &[Param::new("a", Ty::Set), Param::new("b", Ty::Set)],
        Ty::Set,
        |_, a| combine(a, |sets, v| has(&sets[0], v) && sets[1..].iter().all(|s| !has(s, v))),
        "The elements of the first set that the second has not.",
    ),
    Function::new("setunion", &[FIRST.parts()], Ty::Set, |_, a| combine(a, |_, _| true), "The elements of all sets.")
        .variadic(OTHERS.parts()),
];

/// Elements of a set are sorted.
fn has(set: &Value, value: &Value) -> bool {
    set.as_items().is_some_and(|i| i.binary_search_by(|v| v.total_cmp(value)).is_ok())
}

fn combine(args: &[Value], keep: fn(&[Value], &Value) -> bool) -> Outcome {
    let wrong = || CallError::new("the elements of the sets have no type in common");
    // An empty set of no type fits all others.
    let types: Vec<Type> = args
        .iter()
        .filter_map(|a| if let Kind::Set(t, i) = a.kind() { Some((t, i)) } else { None })
        .filter(|(t, i)| !(i.is_empty() && matches!(t, Type::Dynamic)))
        .map(|(t, _)| t.clone())
        .collect();
    let element = unify(&types).ok_or_else(wrong)?;
    let ty = Type::set(element.clone());
    let sets = args.iter().map(|a| convert(a, &ty)).collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?;
    let all: Vec<Value> =
        sets.iter().filter_map(Value::as_items).flat_map(|i| i.iter()).filter(|v| keep(&sets, v)).cloned().collect();
    Ok(Value::set(element, all))
}

fn setproduct(_: &Context, args: &[Value]) -> Outcome {
    if args.len() < 2 {
        return Err(CallError::new("give at least two sets or lists"));
    }
    let mut sides = Vec::new();
    let mut elements = Vec::new();
    let mut total: usize = 1;
    let mut sequence = true;
    for (i, arg) in args.iter().enumerate() {
        let wrong = |_| CallError::at(i, "its elements have no type in common");
        let side = match arg.kind() {
            Kind::Set(..) => {
                sequence = false;
                arg.clone()
            }
            Kind::List(..) | Kind::Tuple(_) => convert(arg, &Ty::List.ty()).map_err(wrong)?,
            _ => return Err(CallError::at(i, "a list, set or tuple is needed")),
        };
        if let Kind::List(t, _) | Kind::Set(t, _) = side.kind() {
            elements.push(t.clone());
        }
        total = total.saturating_mul(side.as_items().map_or(0, |i| i.len()));
        sides.push(side);
    }
    if total > MAX_ITEMS {
        return Err(sequence::too_many());
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for index in 0..sides.len() {
        let side = items(&sides, index);
        rows = rows
            .into_iter()
            .flat_map(|row| side.iter().map(move |v| row.iter().cloned().chain([v.clone()]).collect()))
            .collect();
    }
    let rows: Vec<Value> = rows.into_iter().map(Value::tuple).collect();
    let element = Type::tuple(elements);
    Ok(if sequence { Value::list(element, rows) } else { Value::set(element, rows) })
}
