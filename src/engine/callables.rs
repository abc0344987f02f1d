//! The filters, tests and functions that templates may call. The template library looks them up when a template runs,
//! which is too late: a conversation is under way by then. So publishing looks them up, with how many arguments they
//! take.

use std::ops::RangeInclusive;

use minijinja::machinery::ast::{Call, CallArg, CallType, Expr, Stmt};
use minijinja::machinery::parse;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, State, Value as Dynamic};

/// How unlike another name one may be that it is perhaps meant for, from 0 to 1.
const LIKENESS: f64 = 0.75;

/// Filters of ours and of the library, with how many arguments they take beside the value.
const FILTERS: &[(&str, RangeInclusive<usize>)] = &[
    ("abs", 0..=0),
    ("attr", 1..=1),
    ("bool", 0..=0),
    ("capitalize", 0..=0),
    ("chain", 0..=usize::MAX),
    ("count", 0..=0),
    ("d", 0..=2),
    ("date", 0..=1),
    ("default", 0..=2),
    ("dictsort", 0..=0),
    ("e", 0..=0),
    ("escape", 0..=0),
    ("first", 0..=0),
    ("float", 0..=1),
    ("groupby", 0..=2),
    ("int", 0..=2),
    ("items", 0..=0),
    ("join", 0..=2),
    ("last", 0..=0),
    ("length", 0..=0),
    ("lines", 0..=0),
    ("list", 0..=0),
    ("lower", 0..=0),
    ("map", 0..=usize::MAX),
    ("max", 0..=0),
    ("min", 0..=0),
    ("money", 0..=1),
    ("phone_national", 0..=0),
    ("reject", 0..=usize::MAX),
    ("rejectattr", 1..=usize::MAX),
    ("replace", 2..=2),
    ("reverse", 0..=0),
    ("round", 0..=2),
    ("safe", 0..=0),
    ("select", 0..=usize::MAX),
    ("selectattr", 1..=usize::MAX),
    ("sort", 0..=0),
    ("split", 0..=2),
    ("string", 0..=0),
    ("sum", 0..=2),
    ("title", 0..=0),
    ("tojson", 0..=0),
    ("trim", 0..=1),
    ("unique", 0..=0),
    ("upper", 0..=0),
    ("urlencode", 0..=0),
    ("zip", 0..=usize::MAX),
];

/// Tests of the library, with how many arguments they take beside the value.
const TESTS: &[(&str, RangeInclusive<usize>)] = &[
    ("boolean", 0..=0),
    ("defined", 0..=0),
    ("divisibleby", 1..=1),
    ("endingwith", 1..=1),
    ("eq", 1..=1),
    ("equalto", 1..=1),
    ("escaped", 0..=0),
    ("even", 0..=0),
    ("false", 0..=0),
    ("filter", 0..=0),
    ("float", 0..=0),
    ("ge", 1..=1),
    ("greaterthan", 1..=1),
    ("gt", 1..=1),
    ("in", 1..=1),
    ("int", 0..=0),
    ("integer", 0..=0),
    ("iterable", 0..=0),
    ("le", 1..=1),
    ("lessthan", 1..=1),
    ("lower", 0..=0),
    ("lt", 1..=1),
    ("mapping", 0..=0),
    ("ne", 1..=1),
    ("none", 0..=0),
    ("number", 0..=0),
    ("odd", 0..=0),
    ("safe", 0..=0),
    ("sameas", 1..=1),
    ("sequence", 0..=0),
    ("startingwith", 1..=1),
    ("string", 0..=0),
    ("test", 0..=0),
    ("true", 0..=0),
    ("undefined", 0..=0),
    ("upper", 0..=0),
];

/// Functions of the library, with how many arguments they take.
const FUNCTIONS: &[(&str, RangeInclusive<usize>)] = &[("range", 1..=3)];

/// What can be called on the variable of a `for`'s rounds.
const OF_LOOP: [&str; 2] = ["changed", "cycle"];

/// Names that other languages and template libraries have for a filter of ours.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("currency", "money"),
    ("fallback", "default"),
    ("format_date", "date"),
    ("json", "tojson"),
    ("len", "length"),
    ("lowercase", "lower"),
    ("number", "float"),
    ("phone", "phone_national"),
    ("size", "length"),
    ("startswith", "startingwith"),
    ("endswith", "endingwith"),
    ("str", "string"),
    ("strftime", "date"),
    ("strip", "trim"),
    ("to_json", "tojson"),
    ("toLowerCase", "lower"),
    ("toUpperCase", "upper"),
    ("uppercase", "upper"),
    ("url_encode", "urlencode"),
];

/// What a template calls that is not there, or with another number of arguments than it takes, and what to do, as the
/// rest of a sentence and another one without its stop; none for a template that the library cannot read, which says so
/// itself.
pub(super) fn wrong_call(environment: &Environment<'_>, template: &str) -> Option<String> {
    let tree = parse(template, "template", SyntaxConfig::default()).ok()?;
    let state = environment.empty_state();
    Walk { environment, state }.statement(&tree)
}

struct Walk<'a> {
    environment: &'a Environment<'a>,
    state: State<'a, 'a>,
}

impl Walk<'_> {
    fn statements(&mut self, statements: &[Stmt<'_>]) -> Option<String> {
        statements.iter().find_map(|statement| self.statement(statement))
    }

    /// The tags that templates may have: see `lists::forbidden`.
    fn statement(&mut self, statement: &Stmt<'_>) -> Option<String> {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::ForLoop(each) => self
                .expression(&each.iter)
                .or_else(|| each.filter_expr.as_ref().and_then(|filter| self.expression(filter)))
                .or_else(|| self.statements(&each.body))
                .or_else(|| self.statements(&each.else_body)),
            Stmt::IfCond(condition) => self
                .expression(&condition.expr)
                .or_else(|| self.statements(&condition.true_body))
                .or_else(|| self.statements(&condition.false_body)),
            _ => None,
        }
    }

    fn expression(&mut self, expression: &Expr<'_>) -> Option<String> {
        match expression {
            Expr::Var(_) | Expr::Const(_) => None,
            Expr::Slice(slice) => {
                let ends = [&slice.start, &slice.stop, &slice.step].into_iter().flatten();
                self.expressions(std::iter::once(&slice.expr).chain(ends))
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr),
            Expr::BinOp(operation) => self.expressions([&operation.left, &operation.right]),
            Expr::Compare(compared) => {
                self.expressions(std::iter::once(&compared.expr).chain(compared.ops.iter().map(|one| &one.expr)))
            }
            Expr::IfExpr(choice) => {
                self.expressions([&choice.test_expr, &choice.true_expr].into_iter().chain(&choice.false_expr))
            }
            Expr::Filter(filter) => self
                .expressions(&filter.expr)
                .or_else(|| self.filter(filter.name, &filter.args))
                .or_else(|| self.arguments(&filter.args)),
            Expr::Test(test) => self
                .expression(&test.expr)
                .or_else(|| self.test(test.name, Some(&test.args)))
                .or_else(|| self.arguments(&test.args)),
            Expr::GetAttr(attribute) => self.expression(&attribute.expr),
            Expr::GetItem(item) => self.expressions([&item.expr, &item.subscript_expr]),
            Expr::Call(call) => self.call(call).or_else(|| self.arguments(&call.args)),
            Expr::List(list) => self.expressions(&list.items),
            Expr::Tuple(tuple) => self.expressions(&tuple.items),
            Expr::Map(map) => self.expressions(map.keys.iter().chain(&map.values)),
        }
    }

    fn expressions<'e, 's: 'e>(&mut self, all: impl IntoIterator<Item = &'e Expr<'s>>) -> Option<String> {
        all.into_iter().find_map(|expression| self.expression(expression))
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) -> Option<String> {
        arguments.iter().find_map(|argument| {
            let (CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value)) = argument;
            self.expression(value)
        })
    }

    fn filter(&mut self, name: &str, arguments: &[CallArg<'_>]) -> Option<String> {
        if !self.has_filter(name) {
            return Some(unknown("filter", name, FILTERS, |known| format!("|{known}")));
        }
        // The filter or test that these call by its name.
        let called = match name {
            "map" => constant(arguments, 0).map(|name| (true, name)),
            "select" | "reject" => constant(arguments, 0).map(|name| (false, name)),
            "selectattr" | "rejectattr" => constant(arguments, 1).map(|name| (false, name)),
            _ => None,
        };
        match called {
            Some((true, name)) if !self.has_filter(&name) => {
                Some(unknown("filter", &name, FILTERS, |known| format!("'{known}'")))
            }
            Some((false, name)) => self.test(&name, None),
            _ => wrong_count(&format!("the filter `{name}`"), counted(FILTERS, name), arguments),
        }
    }

    /// `arguments` is `None` where they stand elsewhere.
    fn test(&mut self, name: &str, arguments: Option<&[CallArg<'_>]>) -> Option<String> {
        let is_there = |tried: &Result<bool, minijinja::Error>| {
            tried.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::UnknownTest)
        };
        if !is_there(&self.state.perform_test(name, &[])) {
            return Some(unknown("test", name, TESTS, |known| format!("is {known}")));
        }
        wrong_count(&format!("the test `{name}`"), counted(TESTS, name), arguments?)
    }

    fn call(&mut self, call: &Call<'_>) -> Option<String> {
        match call.identify_call() {
            CallType::Function(name) if self.environment.globals().any(|(known, _)| known == name) => {
                wrong_count(&format!("the function `{name}`"), counted(FUNCTIONS, name), &call.args)
            }
            CallType::Function(name) => Some(match self.has_filter(name) {
                true => format!("there is no function `{name}`. Write it as a filter behind the value: `|{name}`"),
                false => unknown("function", name, FUNCTIONS, |known| format!("{known}()")),
            }),
            CallType::Method(Expr::Var(of), name) if of.id == "loop" && OF_LOOP.contains(&name) => None,
            CallType::Method(of, name) => self.expression(of).or_else(|| {
                let like = if self.has_filter(name) { Some(name) } else { nearest(name, FILTERS) };
                Some(match like {
                    Some(filter) => format!("values have no functions such as `.{name}()`. Use the filter `|{filter}`"),
                    None => format!("values have no functions such as `.{name}()`. Use a filter, such as `|upper`"),
                })
            }),
            CallType::Object(of) => {
                let within = self.expression(of);
                within.or_else(|| Some("it calls a value, which is no function. Remove the brackets".to_owned()))
            }
        }
    }

    fn has_filter(&mut self, name: &str) -> bool {
        let tried: Result<Dynamic, _> = self.state.apply_filter(name, &[]);
        tried.err().is_none_or(|error| error.kind() != ErrorKind::UnknownFilter)
    }
}

/// A text that stands in a call's arguments at a place.
fn constant(arguments: &[CallArg<'_>], place: usize) -> Option<String> {
    match arguments.get(place)? {
        CallArg::Pos(value) => value.as_const()?.as_str().map(str::to_owned),
        _ => None,
    }
}

fn counted<'a>(known: &'a [(&str, RangeInclusive<usize>)], name: &str) -> Option<&'a RangeInclusive<usize>> {
    known.iter().find(|(one, _)| *one == name).map(|(_, count)| count)
}

fn wrong_count(what: &str, allowed: Option<&RangeInclusive<usize>>, arguments: &[CallArg<'_>]) -> Option<String> {
    // A named argument may take the place of a positional one.
    if !arguments.iter().all(|argument| matches!(argument, CallArg::Pos(_))) {
        return None;
    }
    let (least, most) = (*allowed?.start(), *allowed?.end());
    if (least..=most).contains(&arguments.len()) {
        return None;
    }
    let number = match (least, most) {
        (0, 0) => "no argument".to_owned(),
        (1, 1) => "1 argument".to_owned(),
        (least, usize::MAX) => format!("at least {least} {}", if least == 1 { "argument" } else { "arguments" }),
        (0, 1) => "at most 1 argument".to_owned(),
        (0, most) => format!("at most {most} arguments"),
        (least, most) if least == most => format!("{most} arguments"),
        (least, most) => format!("{least} to {most} arguments"),
    };
    Some(format!("{what} takes {number}, and it is given {}. Correct it", arguments.len()))
}

fn unknown(
    kind: &str,
    name: &str,
    known: &[(&'static str, RangeInclusive<usize>)],
    write: impl Fn(&str) -> String,
) -> String {
    match nearest(name, known) {
        Some(like) => format!("there is no {kind} `{name}`. Use `{}`, if that is meant", write(like)),
        None => {
            let all: Vec<&str> = known.iter().map(|(name, _)| *name).filter(|name| name.len() > 1).collect();
            format!("there is no {kind} `{name}`. Use one of {}", all.join(", "))
        }
    }
}

/// The known name that a name is perhaps meant for.
fn nearest(name: &str, known: &[(&'static str, RangeInclusive<usize>)]) -> Option<&'static str> {
    let other = OTHER_NAMES.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, ours)| *ours);
    if let Some(other) = other.filter(|other| counted(known, other).is_some()) {
        return Some(other);
    }
    let small = name.to_lowercase();
    let likeness = |one: &str| strsim::jaro_winkler(one, &small);
    let names = known.iter().map(|(one, _)| *one).filter(|one| one.len() > 1);
    let best = names.max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(best) >= LIKENESS).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::template::Place;
    use crate::engine::template::Templates;

    fn problem(template: &str) -> Option<String> {
        Templates::checked(99).compile(template, Place::Text).err().map(|problem| problem.text)
    }

    #[test]
    fn every_name_is_there() {
        let templates = Templates::checked(99);
        let environment = templates.environment();
        let mut walk = Walk { environment, state: environment.empty_state() };
        for (name, _) in FILTERS {
            assert!(walk.has_filter(name), "{name}");
        }
        for (name, _) in TESTS {
            assert_eq!(walk.test(name, None), None, "{name}");
        }
        let functions: Vec<&str> = environment.globals().map(|(name, _)| name).collect();
        assert_eq!(functions, FUNCTIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (_, ours) in OTHER_NAMES {
            assert!(counted(FILTERS, ours).or(counted(TESTS, ours)).is_some(), "{ours}");
        }
    }

    #[test]
    fn what_is_not_there_is_named_with_the_nearest_that_is() {
        for (template, meant) in [
            ("{{context.x|dat}}", "no filter `dat`. Use `|date`, if that is meant"),
            ("{{context.x|Money}}", "no filter `Money`. Use `|money`, if that is meant"),
            ("{{context.x|uper|lower}}", "no filter `uper`. Use `|upper`, if that is meant"),
            ("{{context.x|currency('EUR')}}", "no filter `currency`. Use `|money`, if that is meant"),
            ("{{context.x|strip}}", "no filter `strip`. Use `|trim`, if that is meant"),
            ("{{context.x|qqq}}", "no filter `qqq`. Use one of abs, attr,"),
            ("{{context.x|default(context.y|defualt('z'))}}", "no filter `defualt`. Use `|default`, if that is meant"),
            ("{% if context.x|lenght > 1 %}a{% endif %}", "no filter `lenght`. Use `|length`, if that is meant"),
            ("{% if context.x %}a{% else %}{{context.y|titel}}{% endif %}", "Use `|title`, if that is meant"),
            (
                "{% for x in context.list|sorted %}{{x}}{% endfor %}",
                "no filter `sorted`. Use `|sort`, if that is meant",
            ),
            ("{{context.list|map('uper')|join}}", "no filter `uper`. Use `'upper'`, if that is meant"),
            ("{{context.list|select('evn')|first}}", "no test `evn`. Use `is even`, if that is meant"),
            (
                "{{context.list|selectattr('a', 'definde')|first}}",
                "no test `definde`. Use `is defined`, if that is meant",
            ),
            ("{% if context.x is foo %}a{% endif %}", "no test `foo`. Use one of boolean, defined,"),
            ("{% if context.x is not defned %}a{% endif %}", "no test `defned`. Use `is defined`, if that is meant"),
            ("{{'a' if context.x is empty else 'b'}}", "no test `empty`."),
            ("{% if context.x is startswith('a') %}a{% endif %}", "Use `is startingwith`, if that is meant"),
            ("{{foo()}}", "no function `foo`. Use one of range"),
            ("{{rang(3)|first}}", "no function `rang`. Use `range()`, if that is meant"),
            ("{{upper(context.x)}}", "no function `upper`. Write it as a filter behind the value: `|upper`"),
            ("{{context.x.upper()}}", "no functions such as `.upper()`. Use the filter `|upper`"),
            ("{{context.x.strip()}}", "Use the filter `|trim`"),
            ("{{context.x.get('a')}}", "no functions such as `.get()`. Use a filter"),
            ("{{context.x[0](1)}}", "it calls a value"),
            ("{{context.x|money('EUR', 2)}}", "the filter `money` takes at most 1 argument, and it is given 2."),
            ("{{context.x|upper('a')}}", "the filter `upper` takes no argument, and it is given 1."),
            ("{{context.x|replace('a')}}", "the filter `replace` takes 2 arguments, and it is given 1."),
            (
                "{% if context.x is divisibleby %}a{% endif %}",
                "the test `divisibleby` takes 1 argument, and it is given 0.",
            ),
            ("{{range()|first}}", "the function `range` takes 1 to 3 arguments, and it is given 0."),
        ] {
            let told = problem(template).unwrap_or_default();
            assert!(told.contains(meant) && told.contains(template), "{template}: {told}");
        }
    }

    #[test]
    fn what_is_there_is_no_problem() {
        for template in [
            "{{context.x|default('a')|upper}} {{context.x|d}}",
            "{{context.x|default('a', true)}}",
            "{{context.list|join(', ')}} {{context.list|map(attribute='name')|join}} \
            {{context.list|sort(reverse=true)}}",
            "{% if context.x is defined and context.x is not none %}a{% endif %}",
            "{% if context.x is divisibleby 3 %}a{% endif %}{% if context.x in [1, 2] %}b{% endif %}",
            "{% for x in range(3) %}{{loop.cycle('a', 'b')}}{{loop.index}}{{x|int}}{% endfor %}",
            "{{'foo() is bar|baz'}} {% raw %}{{x|nothing}}{% endraw %}{# x|nothing #}",
            "{{context.x.y['|z']|round(2)|string}}",
            "{{context.list|selectattr('a', 'eq', 1)|map('upper')|list|tojson}}",
        ] {
            assert_eq!(problem(template), None, "{template}");
        }
    }
}
