//! Relay connections over the pages of the views.

use async_graphql::{
    Context, Error, OutputType, SimpleObject,
    connection::{Connection, CursorType, Edge, EmptyFields},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use projections::{Cursor, Listed, Page};

use crate::graphql::{problem, scalar::Long};

/// Rows of a page when the client does not say.
const DEFAULT: i32 = 20;
/// The most rows of a page.
const MOST: i32 = 100;

/// What a connection tells about the whole list.
#[derive(SimpleObject)]
pub(crate) struct WholeList {
    /// How many rows the whole list has, over all pages.
    total_count: Option<Long>,
}

/// A connection with its total.
pub(crate) type List<T> = Connection<Place, T, WholeList, EmptyFields>;

/// The place of a row in a list, opaque to clients.
pub(crate) struct Place(pub(crate) String);

impl Place {
    /// Reads a cursor of the client.
    ///
    /// # Errors
    /// If it is not one.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        Self::decode_cursor(text).map_err(|_| bad_cursor())
    }
}

impl CursorType for Place {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(Self).ok_or("malformed")
    }

    fn encode_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }
}

/// A cursor that the list did not make.
pub(crate) fn bad_cursor() -> Error {
    problem::bad_input("the cursor does not belong to this list")
}

/// The paging arguments of a connection.
#[derive(Debug, Default)]
pub(crate) struct Paging {
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
    pub(crate) last: Option<i32>,
    pub(crate) before: Option<String>,
}

impl Paging {
    /// How many rows are asked for, and whether from the end.
    ///
    /// # Errors
    /// For a page that is too large, and for pages from both ends at once.
    pub(crate) fn limit(&self) -> Result<(u32, bool), Error> {
        if self.first.is_some() && self.last.is_some() {
            return Err(problem::bad_input("give `first` or `last`, not both"));
        }
        let limit = self.first.or(self.last).unwrap_or(DEFAULT);
        if !(0..=MOST).contains(&limit) {
            return Err(problem::page_limit(MOST));
        }
        Ok((limit.unsigned_abs(), self.last.is_some()))
    }

    /// The page of the view that is asked for. The whole list is counted only if the client wants its total.
    ///
    /// # Errors
    /// As [`Paging::limit`], and for cursors of other lists.
    pub(crate) fn page(self, ctx: &Context<'_>) -> Result<Page, Error> {
        let (limit, from_end) = self.limit()?;
        let cursor = |text: Option<String>| -> Result<Option<Cursor>, Error> {
            let Some(text) = text else { return Ok(None) };
            Cursor::decode(&Place::read(&text)?.0).map(Some).map_err(|_| bad_cursor())
        };
        let (after, before) = (cursor(self.after)?, cursor(self.before)?);
        Ok(Page { limit, after, before, from_end, count: wants_total(ctx) })
    }
}

/// Whether the client asks how long the whole list is.
pub(crate) fn wants_total(ctx: &Context<'_>) -> bool {
    ctx.look_ahead().field("totalCount").exists()
}

/// A page as a connection.
pub(crate) fn list<R, T: OutputType>(listed: Listed<R>, node: impl Fn(R) -> T) -> List<T> {
    let items = listed.items.into_iter().map(|(cursor, row)| (cursor.encode(), node(row)));
    connection(items, listed.has_previous, listed.has_next, listed.total)
}

/// A connection of nodes, each with its place.
pub(crate) fn connection<T: OutputType>(
    items: impl IntoIterator<Item = (String, T)>,
    has_previous: bool,
    has_next: bool,
    total: Option<u64>,
) -> List<T> {
    let whole = WholeList { total_count: total.map(Long::of) };
    let mut connection = Connection::with_additional_fields(has_previous, has_next, whole);
    connection.edges.extend(items.into_iter().map(|(place, node)| Edge::new(Place(place), node)));
    connection
}

/// What a list is narrowed by: read, as the views want it.
pub(crate) trait Narrowing: Default {
    /// The filter of the view.
    type Filter;

    /// Reads it.
    ///
    /// # Errors
    /// For a part that is malformed.
    fn read(self) -> Result<Self::Filter, Error>;
}

/// Declares how a list may be sorted: by the ways of the view, and in which direction unless the client says.
macro_rules! sorting {
    (
        $(#[$meta:meta])*
        $input:ident by $key:ident of $by:ident as $remote:tt, descending = $descending:tt {
            $($(#[$way_meta:meta])* $way:ident,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
        #[graphql(remote = $remote)]
        pub(crate) enum $key {
            $($(#[$way_meta])* $way,)+
        }

        $(#[$meta])*
        #[derive(Debug, async_graphql::InputObject)]
        pub(crate) struct $input {
            /// By what.
            by: $key,
            /// Whether the newest or largest comes first.
            #[graphql(default = $descending)]
            descending: bool,
        }

        impl $input {
            /// The sorting of the view, and whether the largest comes first.
            pub(crate) fn of(sort: Option<Self>) -> (projections::$by, bool) {
                sort.map_or((projections::$by::default(), $descending), |sort| (sort.by.into(), sort.descending))
            }
        }
    };
}
pub(crate) use sorting;

/// Declares a field of the root that is a list of the views: narrowed, sorted, and a page at a time.
macro_rules! root_list {
    (
        $(#[$meta:meta])*
        $root:ident: $field:ident($filter:ident, $sort:ident) -> $node:ident by $new:path = $read:ident
    ) => {
        #[derive(Default)]
        pub(crate) struct $root;

        #[async_graphql::Object]
        impl $root {
            $(#[$meta])*
            #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
            async fn $field(
                &self,
                ctx: &async_graphql::Context<'_>,
                #[graphql(desc = "Which of them; all unless given.")] filter: Option<$filter>,
                #[graphql(desc = "In which order.")] sort: Option<$sort>,
                #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
                #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
                #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
                #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
            ) -> async_graphql::Result<$crate::graphql::page::List<$node>> {
                let filter = $crate::graphql::page::Narrowing::read(filter.unwrap_or_default())?;
                let (by, descending) = $sort::of(sort);
                let page = $crate::graphql::page::Paging { first, after, last, before }.page(ctx)?;
                let views = &ctx.data::<std::sync::Arc<$crate::shop::Shop>>()?.views;
                let listed = views.read(move |reader| reader.$read(&filter, by, descending, &page)).await;
                Ok($crate::graphql::page::list(listed.map_err($crate::graphql::problem::view)?, $new))
            }
        }
    };
}
pub(crate) use root_list;
