//! What becomes of a message when it is not known whether it arrived.

use serde::{Deserialize, Serialize};

/// Which messages go out again when it is not known whether they arrived. Each carries the same id as before; the
/// others count as accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resend {
    /// None: one may be lost.
    None,
    /// Those that are no template: one may come twice, and no template is paid for twice.
    #[default]
    Texts,
    /// All: one may come twice.
    All,
}
