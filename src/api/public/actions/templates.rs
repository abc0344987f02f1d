//! Looking up templates. A template of this API has a name and all its languages. Its id is made from the name; the id
//! of one of its translations finds it, too.

use actix_web::{HttpResponse, web};

use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, OptionalJsonBody, Reader};
use crate::api::state::{State, read};
use crate::domain::{TemplateId, TemplateStatus};
use crate::store::templates::{self, TemplateGroup};
use crate::views::IsoTime;
use crate::views::template::{PublicTemplate, TemplateText};

/// A template's state in the public API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Approval {
    Approved,
    Pending,
    Rejected,
}

impl Approval {
    const ALL: [(&'static str, Self); 3] =
        [("APPROVED", Self::Approved), ("PENDING", Self::Pending), ("REJECTED", Self::Rejected)];

    /// What the best of the translations is: one that the channel holds back for a time may be sent again later, and
    /// one that it has switched off will not.
    fn of(group: &TemplateGroup) -> Self {
        let has =
            |wanted: &[TemplateStatus]| group.translations.iter().any(|row| wanted.contains(&row.template.status));
        if has(&[TemplateStatus::Approved]) {
            Self::Approved
        } else if has(&[TemplateStatus::Pending, TemplateStatus::Paused]) {
            Self::Pending
        } else {
            Self::Rejected
        }
    }

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, one)| *one == self).map_or("REJECTED", |(name, _)| name)
    }
}

pub(super) fn template_not_found() -> ApiError {
    ApiError::not_found("Template not found")
}

/// `POST /actions/list-templates`: the templates of the live channel, by name.
pub(in crate::api) async fn list_public_templates(
    state: web::Data<State>,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.0);
    let status = fields.choice("status", &Approval::ALL);
    fields.finish()?;
    let channel = state.runtime.channel().name();
    let groups = read(&state, move |conn| templates::groups(conn, channel)).await?;
    let wanted = groups.iter().filter(|group| status.is_none_or(|status| Approval::of(group) == status));
    Ok(HttpResponse::Ok().json(wanted.map(summary).collect::<Vec<_>>()))
}

/// `POST /actions/get-template`: one of them with its text.
pub(in crate::api) async fn get_public_template(
    state: web::Data<State>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let id: Option<TemplateId> = fields.required("template_id");
    let id = fields.finish_with(|| id)?;
    let channel = state.runtime.channel().name();
    let group = read(&state, move |conn| templates::find_group(conn, channel, id)).await?;
    let group = group.ok_or_else(template_not_found)?;
    let text = group.shown().map(TemplateText::from);
    Ok(HttpResponse::Ok().json(PublicTemplate { text, ..summary(&group) }))
}

fn summary(group: &TemplateGroup) -> PublicTemplate<'_> {
    let shown = group.shown();
    PublicTemplate {
        id: group.id,
        name: &group.name,
        category: shown.map(|template| template.category.as_str()).filter(|category| !category.is_empty()),
        status: Approval::of(group).as_str(),
        languages: group.translations.iter().map(|row| row.template.language.as_str()).collect(),
        created_at: IsoTime(group.created_at),
        unfillable: shown.map(|template| template.unfillable.as_slice()).filter(|unfillable| !unfillable.is_empty()),
        text: None,
    }
}
