//! How domain values are written to columns and read back.
//!
//! Ids are blobs of 16 bytes, times are integer milliseconds, everything else is text. What is read is checked like
//! any other input: a column that does not hold a value of its type is an error and never a default.

use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::domain::{
    ContactId, CounterName, DeliveryStatus, Direction, EndpointId, FlowId, FlowKind, Handling, Holder, MessageId,
    MessageStatus, NodeId, Origin, ParseError, Phone, Reason, Scope, SessionId, Status, TemplateId, TemplateStatus,
    TestCaseId, Timestamp, TokenId, WaitKind,
};

/// A value that is stored as JSON text.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text =
            serde_json::to_string(&self.0).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(ToSqlOutput::Owned(Value::Text(text)))
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

/// A value that is stored as the text it parses from.
pub(super) struct Text<T>(pub(super) T);

impl<T: FromStr<Err = ParseError>> FromSql for Text<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(FromSqlError::other)
    }
}

macro_rules! id_as_blob {
    ($($name:ident),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Uuid::from_slice(value.as_blob()?).map(Self).map_err(FromSqlError::other)
            }
        }
    )*};
}

id_as_blob!(FlowId, ContactId, EndpointId, SessionId, MessageId, TemplateId, TestCaseId, TokenId);

/// Stores enumerations of named values by their names. A name that none has is an error: a later version wrote the row.
macro_rules! enum_as_name {
    ($($name:ident),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let name = value.as_str()?;
                Self::parse(name).ok_or_else(|| {
                    FromSqlError::other(ParseError(format!("`{name}` is not a value that this version knows")))
                })
            }
        }
    )*};
}

enum_as_name!(
    CounterName,
    DeliveryStatus,
    Direction,
    FlowKind,
    Handling,
    Holder,
    MessageStatus,
    Origin,
    Scope,
    Status,
    TemplateStatus,
    WaitKind
);

impl ToSql for Reason {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Integer(self.as_millis())))
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_millis)
    }
}

impl ToSql for Phone {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for Phone {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_e164(value.as_str()?).map_err(FromSqlError::other)
    }
}

impl ToSql for NodeId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for NodeId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Text::column_result(value).map(|text| text.0)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    fn through<T: ToSql + FromSql>(value: T) -> rusqlite::Result<T> {
        Connection::open_in_memory().unwrap().query_row("SELECT ?1", [value], |row| row.get(0))
    }

    #[test]
    fn values_come_back_as_they_went() {
        let id = ContactId(Uuid::from_u128(7));
        assert_eq!(through(id).unwrap(), id);
        for millis in [i64::MIN, -1, 0, 1_778_141_663_250, i64::MAX] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(through(time).unwrap(), time);
        }
        let phone: Phone = "+14155550123".parse().unwrap();
        assert_eq!(through(phone.clone()).unwrap(), phone);
        assert_eq!(through(Status::Cancelled).unwrap(), Status::Cancelled);
        assert_eq!(through(FlowKind::Sequence).unwrap(), FlowKind::Sequence);
    }

    #[test]
    fn what_is_no_value_of_its_type_is_an_error() {
        let conn = Connection::open_in_memory().unwrap();
        assert!(conn.query_row("SELECT x'0102'", [], |row| row.get::<_, ContactId>(0)).is_err());
        assert!(conn.query_row("SELECT 'later'", [], |row| row.get::<_, Status>(0)).is_err());
        assert!(conn.query_row("SELECT 'a b'", [], |row| row.get::<_, NodeId>(0)).is_err());
        assert!(conn.query_row("SELECT '0123'", [], |row| row.get::<_, Phone>(0)).is_err());
        assert!(conn.query_row("SELECT '{'", [], |row| row.get::<_, Json<serde_json::Value>>(0).map(|_| ())).is_err());
    }
}
