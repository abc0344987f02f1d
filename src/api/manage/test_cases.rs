//! `/flows/{id}/test-cases`: conversations that a flow must pass before it is published.

use actix_web::{HttpResponse, web};
use serde_json::{Map, json};
use uuid::Uuid;

use super::draft_room::refuse_for_good;
use super::flows::{find, not_found, parse_draft};
use super::publishing;
use super::simulation_fields::{read_event, read_start};
use super::{simulations, simulations::in_background};
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, Reader};
use crate::api::state::{State, read};
use crate::domain::{FlowId, SimulationId, TestCaseId, Timestamp};
use crate::error::{Error, Result};
use crate::runtime::authoring::CheckedDocument;
use crate::runtime::simulation::{EVENTS, Subject};
use crate::runtime::test_cases::{BYTES, Expectation, Script, Step, run};
use crate::settings::Limits;
use crate::store::test_cases::{self, TestCaseRow};
use crate::store::{Conn, Tx, flows};
use crate::views::flow::{TestCase, TestCaseResult};
use crate::views::{IsoTime, Listing};

/// Characters of a name at most.
const NAME_CHARS: usize = 255;

/// `GET /flows/{id}/test-cases`: a flow's test cases, oldest first.
pub(in crate::api) async fn list_test_cases(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    let listed = read(&state, move |conn| {
        let Some(flow_seq) = flow_seq(conn, id)? else { return Ok(None) };
        let rows = test_cases::list(conn, flow_seq)?;
        rows.iter().map(row_view).collect::<Result<Vec<_>>>().map(Some)
    });
    let data = listed.await?.ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(Listing { data, next_cursor: None }))
}

/// `POST /flows/{id}/test-cases`: keeps what was played in a simulation, or a script.
pub(in crate::api) async fn create_test_case(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    let now = state.runtime.clock().now();
    let mut fields = Fields::of(&body.fields);
    let name = fields.required_text("name").map(str::trim).unwrap_or_default().to_owned();
    if name.chars().count() > NAME_CHARS {
        fields.fail("name", format!("The name must not be longer than {NAME_CHARS} characters."));
    }
    let simulation: Option<SimulationId> = fields.parsed("simulation_id");
    let script = fields.object("script");
    let script = script.map(|script| fields.within("script", script, |fields| read_script(fields, now)));
    if fields.value("simulation_id").is_some() == fields.has_object("script") {
        let text = "Send either a simulation_id or a script.";
        fields.fail("simulation_id", text);
        fields.fail("script", text);
    }
    fields.refuse_unknown();
    let source = fields
        .finish_with(|| simulation.map(Source::Simulation).or(script.map(|script| Source::Script(Box::new(script)))))?;

    let script = match source {
        Source::Simulation(simulation) => {
            let state = state.clone();
            in_background(state.clone(), move || {
                let played = state.runtime.simulations().with(simulation, |simulation| Script::of(simulation));
                Ok(played.ok_or_else(simulations::not_found)??)
            })
            .await?
        }
        Source::Script(script) => *script,
    };
    let script = serde_json::to_string(&script)
        .map_err(|error| Error::internal("A script cannot be written").caused_by(error))?;
    if script.len() > BYTES {
        let field = if simulation.is_some() { "simulation_id" } else { "script" };
        let text = format!("The test case has {} bytes; at most {BYTES} are allowed.", script.len());
        return Err(ApiError::Validation(vec![(field.to_owned(), text)]));
    }
    let (case_id, actor) = (TestCaseId(Uuid::now_v7()), principal.name.to_string());
    let row = TestCaseRow { id: case_id, name, script, actor, created_at: now };
    let view = row_view(&row)?;
    state.charge(&principal, row.script.len())?;
    let limits = state.quotas.limits();
    match state.runtime.store().write(move |tx| keep(tx, id, &row, &limits)).await? {
        Kept::Yes => Ok(HttpResponse::Created().json(view)),
        Kept::NoFlow => Err(not_found()),
        Kept::NameTaken => {
            let text = "The name is another test case's of this flow.".to_owned();
            Err(ApiError::Validation(vec![("name".to_owned(), text)]))
        }
        Kept::TooMany(limit) => {
            let text = format!("A flow has at most {limit} test cases.");
            let what_to_do = "Delete one that others make superfluous";
            Err(refuse_for_good(&state, &principal, "limits.test_cases_per_flow", text, what_to_do))
        }
        Kept::TooLarge(limit) => {
            let text =
                format!("The test cases of all flows have at most {limit} bytes, and there is no room for this.");
            let what_to_do = "Delete test cases that others make superfluous";
            Err(refuse_for_good(&state, &principal, "limits.test_case_bytes", text, what_to_do))
        }
    }
}

/// `DELETE /flows/{id}/test-cases/{case_id}`: deletes one test case.
pub(in crate::api) async fn delete_test_case(
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let no_case = || ApiError::not_found("Test case not found");
    let id: FlowId = path.0.parse().map_err(|_| not_found())?;
    let case_id: TestCaseId = path.1.parse().map_err(|_| no_case())?;
    let deleted = state.runtime.store().write(move |tx| match flow_seq(tx, id)? {
        Some(flow_seq) => test_cases::delete(tx, flow_seq, case_id).map(Some),
        None => Ok(None),
    });
    match deleted.await? {
        None => Err(not_found()),
        Some(false) => Err(no_case()),
        Some(true) => Ok(HttpResponse::NoContent().finish()),
    }
}

/// `POST /flows/{id}/test-cases/run`: plays all of them on the draft.
pub(in crate::api) async fn run_test_cases(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let flow = find(&state, &id).await?;
    let draft = parse_draft(&flow)?;
    let results = in_background(state.clone(), move || {
        let default_ttl = state.runtime.default_ttl();
        let checked = CheckedDocument::check(&draft, default_ttl).map_err(|problems| publishing::refused(&problems))?;
        if !checked.is_publishable(false) {
            return Err(publishing::refused(&checked.problems));
        }
        let cases = state.runtime.store().read(|conn| test_cases::list(conn, flow.summary.seq))?;
        let subject = Subject::of(&checked, Some(flow.summary.id), state.runtime.server_settings());
        let result = |case: &TestCaseRow| {
            let problem = run(case, &subject);
            TestCaseResult { id: case.id, name: case.name.clone(), passed: problem.is_none(), problem }
        };
        Ok(cases.iter().map(result).collect::<Vec<_>>())
    });
    Ok(HttpResponse::Ok().json(json!({"data": results.await?})))
}

/// What a test case is made from.
enum Source {
    Simulation(SimulationId),
    Script(Box<Script>),
}

enum Kept {
    Yes,
    NoFlow,
    NameTaken,
    /// So many may a flow have.
    TooMany(u32),
    /// So many bytes may all of them have.
    TooLarge(u64),
}

fn keep(tx: &Tx<'_>, id: FlowId, row: &TestCaseRow, limits: &Limits) -> Result<Kept> {
    let Some(flow_seq) = flow_seq(tx, id)? else { return Ok(Kept::NoFlow) };
    let names = test_cases::names(tx, flow_seq)?;
    if names.contains(&row.name) {
        return Ok(Kept::NameTaken);
    }
    let most = limits.test_cases_per_flow;
    if most > 0 && names.len() >= most as usize {
        return Ok(Kept::TooMany(most));
    }
    let most = limits.test_case_bytes.bytes();
    if most > 0 && test_cases::bytes(tx)? + row.script.len() as u64 > most {
        return Ok(Kept::TooLarge(most));
    }
    test_cases::insert(tx, flow_seq, row)?;
    Ok(Kept::Yes)
}

/// The row of a flow that is not deleted.
fn flow_seq(conn: &Conn, id: FlowId) -> Result<Option<i64>> {
    Ok(flows::find_summary(conn, id)?.map(|flow| flow.seq))
}

fn row_view(row: &TestCaseRow) -> Result<TestCase> {
    let TestCaseRow { id, name, script, actor, created_at } = row;
    let script = serde_json::from_str(script)
        .map_err(|error| Error::internal("A stored test case is no JSON").caused_by(error))?;
    Ok(TestCase { id: *id, name: name.clone(), actor: actor.clone(), created_at: IsoTime(*created_at), script })
}

/// Reads a script. What does not say when it begins begins at `now`.
fn read_script(fields: &mut Fields<'_>, now: Timestamp) -> Script {
    let nothing = Map::new();
    let start = fields.object("start");
    let start = fields.within("start", start.unwrap_or(&nothing), |fields| {
        let start = read_start(fields, now, 0);
        fields.refuse_unknown();
        start
    });
    let expect = read_expectation(fields);
    let items = fields.list("steps").map(Vec::as_slice).unwrap_or_default();
    if items.len() > EVENTS {
        fields.fail("steps", format!("The steps must not be more than {EVENTS}."));
    }
    let mut steps = Vec::with_capacity(items.len().min(EVENTS));
    for (index, item) in items.iter().take(EVENTS).enumerate() {
        let place = format!("steps.{index}");
        let Some(step) = item.as_object() else {
            fields.fail(&place, "A step must be an object.");
            continue;
        };
        steps.extend(fields.within(&place, step, read_step));
    }
    fields.refuse_unknown();
    Script { start, expect, steps }
}

fn read_step(fields: &mut Fields<'_>) -> Option<Step> {
    let event = match fields.object("event") {
        Some(event) => fields.within("event", event, read_event),
        None if !fields.has_object("event") => {
            fields.fail("event", "The event field is required.");
            None
        }
        None => None,
    };
    let expect = read_expectation(fields);
    fields.refuse_unknown();
    Some(Step { event: event?, expect })
}

fn read_expectation(fields: &mut Fields<'_>) -> Option<Expectation> {
    let value = fields.value("expect")?;
    match serde_path_to_error::deserialize::<_, Expectation>(value) {
        Ok(expect) => Some(expect),
        Err(error) => {
            let path = error.path().to_string();
            let place = if path == "." { "expect".to_owned() } else { format!("expect.{path}") };
            fields.fail(&place, format!("{}.", error.into_inner()));
            None
        }
    }
}
