//! `mesh_gate`: something that people must do before the rest can go on.
//!
//! The one decision: a gate is an object of state whose plan is pure. Once opened for an input it
//! stays open for that input, whatever its condition says later, and hands on the value that it
//! was opened with; another input closes it again. The engine reads the planned `opened`: false or
//! unknown means that this gate and its dependents have to wait.

use std::time::Duration;

use mesh_model::change::Poll;
use mesh_model::path::Step;
use mesh_model::schema::{Block, Nesting, duration_seconds};
use mesh_model::{Attribute, Path, ResourceSchema, Schema, Type, Value, json};
use mesh_sdk::{
    ClosedGate, ErrorKind, IdentityHint, Observation, ObserveRequest, OperationRequest, Outcome, PlanRequest,
    PlanResponse, Problem, ProviderError, Resource, Rules, Verdict, async_trait,
};

use crate::{Client, digest, state_only};

pub(crate) struct Gate;

/// How long an apply may wait, in seconds: one day.
const MOST: f64 = 86_400.0;

/// The digest of an input: unknown where the input is, and as secret as the input, since the plain
/// digest of a short secret could be guessed.
fn input_digest(input: &Value) -> Value {
    let marks = input.all_marks();
    if input.is_null() {
        Value::null(Type::String)
    } else if !input.is_wholly_known() || input.has_withheld() {
        Value::unknown(Type::String).mark(marks)
    } else {
        Value::string(digest::sha256(json::canonical(input).as_bytes())).mark(marks)
    }
}

/// `after` as a gate that is opened now.
fn opened(after: &Value) -> Value {
    let attribute = |name| after.get(name).cloned().unwrap_or(Value::NULL);
    after
        .with("input_digest", input_digest(&attribute("input")))
        .with("opened", Value::bool(true))
        .with("output", attribute("value"))
}

impl Rules for Gate {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        if config.get_str("waiting_for").is_some_and(|text| text.trim().is_empty() || text.contains('\n')) {
            problems.push(Problem::at("waiting_for", "must be one line of text; the steps belong into `instructions`"));
        }
        for name in ["interval", "timeout"] {
            let text = config.get("poll").and_then(|p| p.get_str(name));
            if text.is_some_and(|t| duration_seconds(t).is_none_or(|s| !(1.0..=MOST).contains(&s))) {
                let path = Path::attribute("poll").join(Step::Key(name.into()));
                problems.push(Problem { path, reason: "must be a duration from 1s to 24h, such as \"10m\"".into() });
            }
        }
        problems
    }

    fn identity(&self, _planned: &Value) -> IdentityHint {
        IdentityHint::Assigned
    }

    fn closed_gate(&self, planned: &Value) -> Option<ClosedGate> {
        let open = planned.get("opened").and_then(Value::as_bool);
        if open == Some(true) {
            return None;
        }
        let problems = match planned.get("problems").filter(|p| !p.all_marks().sensitive()).and_then(Value::as_items) {
            Some(items) => items.iter().filter_map(|p| p.as_str().map(str::to_owned)).collect(),
            None => Vec::new(),
        };
        Some(ClosedGate {
            waiting_for: shown(planned, "waiting_for"),
            instructions: shown(planned, "instructions"),
            problems,
            certain: open == Some(false),
            poll: planned.get("poll").and_then(poll),
        })
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let desired = request.desired;
        let attribute = |name| desired.get(name).cloned().unwrap_or(Value::NULL);
        let respond =
            |verdict, before, after| PlanResponse { verdict, before, after, needs_preview: false, notes: Vec::new() };
        let input = attribute("input");
        if let Some(seen) = request.observed.filter(|s| s.get("opened").and_then(Value::as_bool) == Some(true)) {
            let seen_part = |name| seen.get(name).cloned().unwrap_or(Value::NULL);
            if input.is_null() || request.fingerprinter.same(&input, &seen_part("input")) {
                // A secret output that state only remembers is handed on as long as it can be had again.
                let (value, output) = (attribute("value"), seen_part("output"));
                let again = |kept: Value| if request.fingerprinter.same(&value, &kept) { value.clone() } else { kept };
                let kept = seen.with("output", again(output)).with("value", again(seen_part("value")));
                let kept = if input.is_null() { kept } else { kept.with("input", input) };
                return respond(Verdict::NoOp, kept.clone(), kept);
            }
        }
        // Whether a gate is open is public, even where the condition came from something secret.
        let is_open = attribute("open_when").as_bool();
        let after = match is_open {
            Some(true) if input.is_wholly_known() => opened(desired),
            _ => desired
                .with("input_digest", input_digest(&input))
                .with("opened", is_open.filter(|open| !open).map_or(Value::unknown(Type::Bool), Value::bool))
                .with("output", Value::unknown(Type::Dynamic)),
        };
        match request.observed {
            None => respond(Verdict::Create, Value::NULL, after),
            Some(seen) => respond(Verdict::Update, seen.clone(), after),
        }
    }
}

/// How an apply waits, as the block says it.
fn poll(block: &Value) -> Option<Poll> {
    let time = |name| block.get_str(name).and_then(duration_seconds).filter(|s| (1.0..=MOST).contains(s));
    Some(Poll {
        interval: Duration::from_secs_f64(time("interval").unwrap_or(10.0)),
        timeout: Duration::from_secs_f64(time("timeout")?),
    })
}

/// Text of an attribute as it is shown: a secret stays one.
fn shown(planned: &Value, name: &str) -> String {
    match planned.get(name) {
        Some(v) if v.all_marks().sensitive() => mesh_model::render::SENSITIVE.to_owned(),
        Some(v) if v.is_unknown() => mesh_model::render::UNKNOWN.to_owned(),
        Some(v) => v.as_str().unwrap_or("").to_owned(),
        None => String::new(),
    }
}

fn open(request: &OperationRequest) -> Outcome {
    let after = request.after.as_ref().unwrap_or(&Value::NULL);
    if after.get("open_when").and_then(Value::as_bool) == Some(true) {
        return state_only::done(request, opened(after));
    }
    Outcome::rejected(
        ProviderError::new(
            ErrorKind::NotReady,
            "The gate is closed",
            format!(
                "It waits for {}. Do what its instructions say, then run the same command again.",
                after.get_str("waiting_for").unwrap_or("its condition")
            ),
        )
        .at("open_when"),
    )
}

#[async_trait]
impl Resource<Client> for Gate {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "mesh_gate",
            version: 0,
            doc: "Something that people must do before the rest can go on. While it is closed, apply ends with exit \
                  code 3 and says what to do; the same command goes on later. Once opened it stays open for the same \
                  `input`, and keeps what it handed on.",
            example: r#"resource "mesh_gate" "approved" {
  waiting_for  = "the network team's approval"
  instructions = "Ask for the VIP, then set approved = true."
  open_when    = true
}"#,
            schema: Schema::of([
                Attribute::required("waiting_for", Type::String, "What it waits for, in one line."),
                Attribute::optional("instructions", Type::String, "What to do, complete; shown while it is closed."),
                Attribute::required("open_when", Type::Bool, "The condition that opens it."),
                Attribute::optional(
                    "problems",
                    Type::list(Type::String),
                    "Why what was given does not open it; shown while it is closed.",
                ),
                Attribute::optional(
                    "input",
                    Type::Dynamic,
                    "What the work is about (a request to sign, for example). When it changes, the gate closes again.",
                ),
                Attribute::optional(
                    "value",
                    Type::Dynamic,
                    "What is handed on as `output` once it opens. A sensitive value is kept as a fingerprint only, so it \
                     must stay available.",
                ),
                Attribute::computed("input_digest", Type::String, "SHA-256 of the canonical JSON of `input`."),
                Attribute::computed("opened", Type::Bool, "Whether it is open."),
                Attribute::computed("output", Type::Dynamic, "The `value` that it was opened with."),
            ])
            .block(Block {
                name: "poll",
                nesting: Nesting::Single,
                min: 0,
                max: 1,
                schema: Schema::of([
                    Attribute::required("timeout", Type::String, "How long, such as `10m`; at most a day."),
                    Attribute::optional("interval", Type::String, "The time between two looks.")
                        .default(Value::string("10s")),
                ]),
                doc: "Has an apply wait for the gate: it plans again until the gate opens or the time is over.",
            }),
            protected: false,
        }
    }

    async fn observe(&self, _client: &Client, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        state_only::observe(requests)
    }

    async fn create(&self, _client: &Client, request: &OperationRequest) -> Outcome {
        open(request)
    }

    async fn update(&self, _client: &Client, request: &OperationRequest) -> Outcome {
        open(request)
    }

    async fn delete(&self, _client: &Client, _request: &OperationRequest) -> Outcome {
        Outcome::deleted()
    }
}
