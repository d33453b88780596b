//! Path parameters by name: those of one route, even if a router around it adds more.

use std::fmt;
use std::marker::PhantomData;

use serde_core::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

/// The names of the path parameters that a handler takes by name.
pub trait ParameterNames {
    const NAMES: &'static [&'static str];
}

/// The values of these parameters in the same order, for `axum::extract::Path` to deserialize.
///
/// A tuple alone would have to have all parameters of the path, and there are more than the route's own
/// if its router is nested below `/{tenant}`.
#[derive(Debug)]
pub struct Named<Names, T>(pub T, pub PhantomData<fn() -> Names>);

struct NamedVisitor<Names, T>(PhantomData<fn() -> (Names, T)>);

macro_rules! impl_named {
    ($($value:ident $index:literal),+) => {
        impl<'de, Names: ParameterNames, $($value: Deserialize<'de>),+> Deserialize<'de>
            for Named<Names, ($($value,)+)>
        {
            fn deserialize<De: Deserializer<'de>>(
                deserializer: De,
            ) -> Result<Self, De::Error> {
                deserializer.deserialize_map(NamedVisitor::<Names, ($($value,)+)>(PhantomData))
            }
        }

        #[allow(non_snake_case, reason = "each value has the name of its type")]
        impl<'de, Names: ParameterNames, $($value: Deserialize<'de>),+> Visitor<'de>
            for NamedVisitor<Names, ($($value,)+)>
        {
            type Value = Named<Names, ($($value,)+)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the parameters of a path")
            }

            fn visit_map<Map: MapAccess<'de>>(
                self,
                mut map: Map,
            ) -> Result<Self::Value, Map::Error> {
                $(let mut $value = None;)+
                while let Some(name) = map.next_key::<String>()? {
                    match Names::NAMES.iter().position(|known| *known == name) {
                        $(Some($index) => $value = Some(map.next_value()?),)+
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                $(let $value = $value.ok_or_else(|| Map::Error::missing_field(Names::NAMES[$index]))?;)+
                Ok(Named(($($value,)+), PhantomData))
            }
        }
    };
}

impl_named!(A 0);
impl_named!(A 0, B 1);
impl_named!(A 0, B 1, C 2);
impl_named!(A 0, B 1, C 2, D 3);
impl_named!(A 0, B 1, C 2, D 3, E 4);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
impl_named!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);
