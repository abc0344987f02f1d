//! Enumerations whose values have names: one list makes the type, the list of its values, their names and the way back.

/// Declares an enumeration with the name of each value, as the API and the store write it.
///
/// Beside what its attributes derive, the type gets `Debug`, `Clone`, `Copy`, `PartialEq`, `Eq` and `Display`, its
/// values in their order as `ALL`, their names as `as_str`, and `parse` for the value of a name.
macro_rules! named {
    ($(#[$meta:meta])* pub enum $type:ident { $($(#[$of_value:meta])* $value:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $($(#[$of_value])* $value,)+
        }

        impl $type {
            /// All of them, in their order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$value),+];

            /// The name used in the API and in the store.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }

            /// The value that has this name; `None` if none has.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$value),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use named;

#[cfg(test)]
#[expect(unreachable_pub, reason = "a module of tests is private")]
mod tests {
    named! {
        /// Something with two values.
        #[derive(Default, serde::Serialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Way {
            /// The default value.
            #[default]
            In = "in",
            /// The other value.
            Out = "out",
        }
    }

    #[test]
    fn names_lead_to_values_and_back() {
        assert_eq!(Way::ALL.map(Way::as_str), ["in", "out"]);
        assert!(Way::ALL.iter().all(|way| Way::parse(way.as_str()) == Some(*way) && way.to_string() == way.as_str()));
        assert_eq!((Way::parse("IN"), Way::parse(""), Way::default()), (None, None, Way::In));
        assert_eq!(serde_json::to_value(Way::Out).unwrap(), "out");
    }
}
