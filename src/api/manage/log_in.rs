//! `/admin/…`: how a person gets to the admin page, and out of it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::auth::{Caller, Principal};
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, Reader};
use crate::api::state::State;
use crate::api::state::logins as login;
use crate::credentials;
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::text::has_odd_characters;
use crate::error::Result;
use crate::store::{WriteClass, audit, logins};
use crate::views::settings::{AdminChannel, AdminSession};

/// Characters of a person's name at most.
const NAME_CHARS: usize = 100;

/// `GET /admin/session`: whether the browser is logged in, and what the page needs to begin.
pub(in crate::api) async fn get_admin_session(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let found = state.logins.find(request.headers(), now(&state));
    let who = found.map(|(principal, csrf_token)| (principal.name.to_string(), csrf_token));
    HttpResponse::Ok().json(session_view(&state, who))
}

/// `POST /admin/set-up`: sets the first password; the code for it is in the server's output.
pub(in crate::api) async fn set_up_admin(
    request: HttpRequest,
    state: web::Data<State>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let code = fields.required_text("code").map(str::to_owned);
    let password = read_new_password(&mut fields, "password");
    let name = read_name(&mut fields);
    fields.refuse_unknown();
    let (code, password, name) = fields.finish_with(|| Some((code?, password?, name?)))?;

    let (store, now) = (state.runtime.store(), now(&state));
    let network = state.logins.network_of(&request);
    state.logins.check_code(store, &network, &code, now).await?;
    let hash = state.logins.hash_password(&password).await?;
    let (secret, actor) = (credentials::make_secret()?, name.clone());
    let (kept, from) = (secret.clone(), network.clone());
    let deed = Deed::new(AuditAction::SetUp, Actor::login(&name, &network));
    let recorded = deed.clone();
    let is_first = store.write_as(WriteClass::Essential, move |tx| {
        if credentials::password(tx)?.is_some() {
            return Ok(false);
        }
        credentials::set_password(tx, &hash, None, now)?;
        logins::add_known(tx, &from, now)?;
        login::insert(tx, &kept, &actor, now)?;
        audit::record(tx, &recorded, now)?;
        Ok(true)
    });
    if !is_first.await? {
        return Err(state.logins.already_set_up());
    }
    audit::log(&deed);
    logged_in(&state, secret, name).await
}

/// `POST /admin/log-in`: a name and the password.
pub(in crate::api) async fn log_in_admin(
    request: HttpRequest,
    state: web::Data<State>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let password = fields.required_text("password").map(str::to_owned);
    let name = read_name(&mut fields);
    fields.refuse_unknown();
    let (password, name) = fields.finish_with(|| password.zip(name))?;

    let (store, now) = (state.runtime.store(), now(&state));
    let network = state.logins.network_of(&request);
    let hash = state.logins.check_password(store, &network, &password, now).await?;
    let (secret, actor) = (credentials::make_secret()?, name.clone());
    let kept = secret.clone();
    let deed = Deed::new(AuditAction::LoggedIn, Actor::login(&name, &network));
    let recorded = deed.clone();
    let is_in = store.write_as(WriteClass::Essential, move |tx| {
        // The password may have been changed since it was checked, and all log-ins ended.
        if credentials::password(tx)?.as_ref() != Some(&hash) {
            return Ok(false);
        }
        login::insert(tx, &kept, &actor, now)?;
        audit::record(tx, &recorded, now)?;
        Ok(true)
    });
    if !is_in.await? {
        return Err(login::wrong_password());
    }
    audit::log(&deed);
    logged_in(&state, secret, name).await
}

/// `POST /admin/log-out`: ends the log-in for good, wherever its cookie is.
pub(in crate::api) async fn log_out_admin(
    state: web::Data<State>,
    principal: Principal,
) -> Result<HttpResponse, ApiError> {
    let seq = login_of(&principal)?;
    let (deed, now) = (Deed::new(AuditAction::LoggedOut, principal.actor()), now(&state));
    let recorded = deed.clone();
    let logged_out = state.runtime.store().write_as(WriteClass::Essential, move |tx| {
        logins::delete(tx, seq)?;
        audit::record(tx, &recorded, now)
    });
    logged_out.await?;
    state.admit().await?;
    audit::log(&deed);
    Ok(HttpResponse::NoContent().cookie(login::no_cookie(state.is_secure())).finish())
}

/// `POST /admin/password`: another password; it ends all other log-ins.
pub(in crate::api) async fn change_password(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let seq = login_of(&principal)?;
    if state.logins.is_pinned() {
        let error = ApiError::refused(StatusCode::CONFLICT, "The configuration sets the password.");
        return Err(error.hint("Change admin.password in the file or the environment, and restart the server."));
    }
    let mut fields = Fields::of(&body.fields);
    let current = fields.required_text("current").map(str::to_owned);
    let new = read_new_password(&mut fields, "new");
    fields.refuse_unknown();
    let (current, new) = fields.finish_with(|| current.zip(new))?;
    let (store, now) = (state.runtime.store(), now(&state));
    // 401 would mean to the page that the session has ended.
    let wrong = || ApiError::Validation(vec![("current".to_owned(), "The password is wrong.".to_owned())]);
    let checked = state.logins.check_password(store, &state.logins.network_of(&request), &current, now).await;
    let before = checked.map_err(|error| match error {
        ApiError::Refused { status: StatusCode::UNAUTHORIZED, .. } => wrong(),
        other => other,
    })?;
    let hash = state.logins.hash_password(&new).await?;
    let deed = Deed::new(AuditAction::PasswordChanged, principal.actor());
    let recorded = deed.clone();
    let is_changed = store.write_as(WriteClass::Essential, move |tx| {
        let is_current = credentials::password(tx)?.as_ref() == Some(&before);
        if is_current {
            credentials::set_password(tx, &hash, Some(seq), now)?;
            audit::record(tx, &recorded, now)?;
        }
        Ok(is_current)
    });
    if !is_changed.await? {
        return Err(wrong());
    }
    state.admit().await?;
    audit::log(&deed);
    Ok(HttpResponse::NoContent().finish())
}

async fn logged_in(state: &State, secret: String, name: String) -> Result<HttpResponse, ApiError> {
    state.admit().await?;
    let view = session_view(state, Some((name, login::csrf_token(&secret))));
    Ok(HttpResponse::Ok().cookie(login::cookie(secret, state.is_secure())).json(view))
}

fn session_view(state: &State, who: Option<(String, String)>) -> AdminSession {
    let channel = state.runtime.channel();
    let standing = match (&who, state.logins.set_up_code()) {
        (Some(_), _) => "logged_in",
        (None, Some(_)) => "set_up",
        (None, None) => "log_in",
    };
    let (actor, csrf_token) = who.unzip();
    AdminSession {
        state: standing,
        channel: AdminChannel { name: channel.name(), reaches_phones: channel.kind().reaches_phones() },
        public_url: state.settings.effective().public_url,
        version: env!("CARGO_PKG_VERSION"),
        actor,
        csrf_token,
    }
}

/// The row of the log-in behind a request; a token has none.
fn login_of(principal: &Principal) -> Result<i64, ApiError> {
    match principal.caller {
        Caller::Login(seq) => Ok(seq),
        Caller::Token(_) => {
            Err(ApiError::refused(StatusCode::FORBIDDEN, "This is for people who are logged in, not for tokens.")
                .hint("Log in at POST /admin/log-in and send its cookie."))
        }
    }
}

fn read_name(fields: &mut Fields<'_>) -> Option<String> {
    let name = fields.required_text("name")?.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS || has_odd_characters(name) {
        fields.fail("name", format!("The name must have 1 to {NAME_CHARS} characters."));
    }
    Some(name.to_owned())
}

fn read_new_password(fields: &mut Fields<'_>, field: &'static str) -> Option<String> {
    let password = fields.required_text(field)?;
    if let Err(wrong) = credentials::check_password(password) {
        fields.fail(field, format!("The password {wrong}."));
    }
    Some(password.to_owned())
}

fn now(state: &State) -> Timestamp {
    state.runtime.clock().now()
}
