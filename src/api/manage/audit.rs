//! `/audit`: who did what to the server.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::answer::trim_page;
use crate::api::error::ApiError;
use crate::api::request::{Query, Reader};
use crate::api::state::{State, read};
use crate::domain::audit::AuditAction;
use crate::store::audit::{self, AuditRow, Filter};
use crate::views::audit::{AuditActor, AuditEntry};
use crate::views::{IsoTime, Listing};

/// `GET /audit?action=&actor=`: what was done, newest first.
pub(in crate::api) async fn list_audit(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let page = query.page();
    let action = query.choice("action", &AuditAction::ALL.map(|action| (action.as_str(), action)));
    let filter = Filter { action, actor: query.text("actor") };
    query.finish()?;
    let listed = read(&state, move |conn| audit::list(conn, &filter, page.cursor, page.limit.saturating_add(1)));
    let mut rows = listed.await?;
    let next_cursor = trim_page(&mut rows, page.limit, |row| row.seq);
    Ok(HttpResponse::Ok().json(Listing { data: rows.into_iter().map(entry_view).collect(), next_cursor }))
}

fn entry_view(row: AuditRow) -> AuditEntry {
    let AuditRow { seq: _, at, action, actor_kind, actor, token, network, target, detail } = row;
    let name = Some(actor).filter(|name| !name.is_empty());
    let actor = AuditActor { kind: actor_kind, name, token_id: token, network };
    AuditEntry { at: IsoTime(at), action, actor, target, detail }
}
