//! `/backups`: copies of the database that the server has made, and making one now.

use std::fs::File;
use std::io::Read;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;

use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Query, Reader};
use crate::api::state::State;
use crate::domain::audit::{AuditAction, Deed};
use crate::error::Error;
use crate::runtime::BackupFile;
use crate::store::{WriteClass, audit};
use crate::views::IsoTime;
use crate::views::backup::{Backup, Backups};

/// Bytes that are read and sent at a time.
const CHUNK: usize = 256 * 1024;

/// `GET /backups`: the copies in the folder of the backups, and how the server's own backups stand.
pub(in crate::api) async fn list_backups(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Query::read(&request)?.finish()?;
    let files = state.runtime.backup_files().await?;
    let plan = state.runtime.backup_state();
    Ok(HttpResponse::Ok().json(Backups {
        every_seconds: plan.as_ref().map_or(0, |plan| plan.every.as_secs()),
        is_late: plan.as_ref().is_some_and(|plan| plan.is_late),
        error: state.runtime.backup_failure(),
        data: files.into_iter().map(backup_view).collect(),
        next_cursor: None,
    }))
}

/// `POST /backups`: makes a copy now, and answers once it is whole.
pub(in crate::api) async fn create_backup(
    state: web::Data<State>,
    principal: Principal,
) -> Result<HttpResponse, ApiError> {
    let runtime = state.runtime.clone();
    // It goes on when the caller stops waiting.
    let made = actix_web::rt::spawn(async move { runtime.make_backup().await }).await;
    let made = made.map_err(|error| Error::internal("A backup panicked").caused_by(error))??;
    record(&state, Deed::new(AuditAction::BackupCreated, principal.actor()).to(&made.name)).await?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(backup_view(made)))
}

/// `GET /backups/{name}`: the copy itself.
pub(in crate::api) async fn download_backup(
    state: web::Data<State>,
    principal: Principal,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let not_found = || ApiError::not_found("Backup not found");
    // Only names of the list lead to files.
    let known = state.runtime.backup_files().await?.into_iter().find(|file| file.name == *name);
    let name = known.ok_or_else(not_found)?.name;
    let path = state.runtime.backup_plan().dir.join(&name);
    // It may have made room for a newer one just now.
    let file = File::open(&path).map_err(|_| not_found())?;
    let bytes = file.metadata().map_err(|_| not_found())?.len();
    record(&state, Deed::new(AuditAction::BackupDownloaded, principal.actor()).to(&name)).await?;
    let chunks = stream::try_unfold(file, |file| async move { next_chunk(file).await });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/vnd.sqlite3"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(SizedStream::new(bytes, chunks)))
}

async fn next_chunk(mut file: File) -> Result<Option<(Bytes, File)>, Error> {
    let unreadable = |error: std::io::Error| Error::internal("The backup cannot be read").caused_by(error);
    let read = web::block(move || {
        let mut chunk = vec![0; CHUNK];
        let length = file.read(&mut chunk)?;
        chunk.truncate(length);
        Ok((chunk, file))
    });
    let read = read.await.map_err(|error| Error::internal("Reading a backup panicked").caused_by(error))?;
    let (chunk, file) = read.map_err(unreadable)?;
    Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), file)))
}

/// Has the audit know of it.
async fn record(state: &State, deed: Deed) -> Result<(), Error> {
    let (recorded, now) = (deed.clone(), state.runtime.clock().now());
    state.runtime.store().write_as(WriteClass::Essential, move |tx| audit::record(tx, &recorded, now)).await?;
    audit::log(&deed);
    Ok(())
}

fn backup_view(file: BackupFile) -> Backup {
    Backup { name: file.name, bytes: file.bytes, created_at: IsoTime(file.created_at) }
}
