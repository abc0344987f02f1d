//! `GET /me`: whose server it is. Clients call it to see whether their token is good.

use actix_web::{HttpResponse, web};

use crate::api::error::ApiError;
use crate::api::state::State;
use crate::views::event::TENANT_ID;
use crate::views::settings::{Owner, Tenant};

/// `GET /me`: the owner, as the keys `account.*` say.
pub(in crate::api) async fn get_me(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let all = state.settings.all();
    let value = |key: &str| all.iter().find(|(setting, _)| setting.key == key).map(|(setting, _)| &setting.value);
    Ok(HttpResponse::Ok().json(Owner {
        id: 1,
        email: value("account.email"),
        name: value("account.name"),
        tenant: Tenant { id: TENANT_ID, name: value("account.tenant") },
    }))
}
