//! `daybook bench lists`: how long pages of the lists of products and orders take in shops of different size, in turns. Readers
//! ask for the first page, which is what most ask for, and for pages from all over a list, which are not all at hand.

use std::{path::Path, sync::Arc, time::Duration};

use clap::Args;
use event_schemas::{CountryCode, Currency, OrderStatus};
use event_store::Log;
use projections::{Listed, OrderFilter, OrderSort, Page, ProductFilter, ProductSort, ProductState, Reader, ViewError, Views};
use serde_json::json;

use super::{
    BenchError, large_shop,
    measure::{Measured, closed_loop},
    table::{decimal, print_table},
};

/// Slices of a measurement: the shops take turns.
const TURNS: u32 = 4;
/// Rows of a page, as the API gives them.
const PAGE: u32 = 20;
/// Places of a list that readers ask from, the same number in shops of every size as far as the list has so many rows.
const PLACES: u64 = 300;

/// `daybook bench lists`
#[derive(Debug, Args)]
pub struct ListsArgs {
    /// How many events each shop has.
    #[arg(long, env = "DAYBOOK_SIZES", value_delimiter = ',', default_value = "10000,1000000,5000000")]
    events: Vec<u64>,
    /// Where the logs are kept, and the views unless --into is given: made here if absent, a temporary folder if not given.
    #[arg(long, env = "DAYBOOK_KEEP", value_name = "DIR")]
    keep: Option<std::path::PathBuf>,
    /// The views of each shop, such as postgres://USER@HOST/DATABASE: as many as there are sizes.
    #[arg(long, env = "DAYBOOK_INTO", hide_env_values = true, value_delimiter = ',', value_name = "URL")]
    into: Vec<String>,
    /// How many readers ask at the same time.
    #[arg(long, env = "DAYBOOK_CONCURRENCY", default_value_t = 2)]
    concurrency: usize,
    /// How long each list is read in each shop, in seconds.
    #[arg(long, env = "DAYBOOK_SECONDS", default_value_t = 4)]
    seconds: u64,
    /// Print how the view store reads each list of the last shop as well.
    #[arg(long, env = "DAYBOOK_EXPLAIN")]
    explain: bool,
    /// Print one JSON object instead of a table.
    #[arg(long, env = "DAYBOOK_JSON")]
    json: bool,
}

type Question = Arc<dyn Fn(&Reader<'_>) -> Result<(), ViewError> + Send + Sync>;

/// A shop of one size, and what it is asked.
struct Shop {
    events: u64,
    views: Views,
    questions: Vec<(&'static str, Question)>,
    measured: Vec<Measured>,
}

/// Makes the shops, asks, and prints how long the answers took.
///
/// # Errors
/// When a shop cannot be made, or its views cannot be built or read.
pub async fn run(args: ListsArgs) -> Result<(), BenchError> {
    if !args.into.is_empty() && args.into.len() != args.events.len() {
        return Err(BenchError::Answer("give as many --into as there are sizes in --events".to_owned()));
    }
    let scratch = tempfile::tempdir()?;
    let folder = args.keep.as_deref().unwrap_or(scratch.path());
    std::fs::create_dir_all(folder)?;
    let mut shops = Vec::new();
    for (number, events) in args.events.iter().enumerate() {
        shops.push(shop(folder, *events, args.into.get(number)).await?);
    }
    let slice = Duration::from_secs(args.seconds.max(1)) / TURNS;
    let count = shops.first().map_or(0, |shop| shop.questions.len());
    for _ in 0..TURNS {
        for question in 0..count {
            for shop in &mut shops {
                let (views, question_asked) = (shop.views.clone(), shop.questions[question].1.clone());
                let ask = move |_, _| {
                    let (views, question) = (views.clone(), question_asked.clone());
                    async move { Ok::<_, BenchError>(views.read(move |reader| question(reader)).await?) }
                };
                let measured = closed_loop(args.concurrency, slice, ask).await?;
                shop.measured[question].add(&measured);
            }
        }
    }
    if args.json {
        print_json(&shops, args.concurrency)
    } else {
        print(&shops, args.concurrency)
    }
    if let (true, Some(largest)) = (args.explain, shops.last()) {
        for (name, question) in &largest.questions {
            println!("\n{name}");
            let (_, explained) = largest.views.explain_blocking(|reader| question(reader))?;
            explained.iter().for_each(|explained| println!("{}\n    {}", explained.sql, explained.plan.join("\n    ")));
        }
    }
    Ok(())
}

/// Opens a shop, making what is not there.
async fn shop(folder: &Path, events: u64, into: Option<&String>) -> Result<Shop, BenchError> {
    let log = event_store::open(&format!("sqlite:{}", folder.join(format!("events-{events}.db")).display())).await?;
    match log.head().await?.position {
        0 => {
            eprintln!("making a log of {events} events");
            large_shop::fill(&*log, events).await?;
        }
        // One that was broken off would be measured as if it were whole.
        kept if kept != events => {
            let message = format!("the log kept for {events} events has {kept}: remove events-{events}.db to have it made again");
            return Err(BenchError::Answer(message));
        }
        _ => {}
    }
    let beside = || format!("sqlite:{}", folder.join(format!("views-{events}.db")).display());
    let views = Views::open(&into.cloned().unwrap_or_else(beside))?;
    let built = "SELECT min(position) FROM projections WHERE serving = 1";
    if views.read(|reader| reader.integer(built, &[])).await? != i64::try_from(events).unwrap_or(i64::MAX) {
        let report = projections::rebuild(log.clone() as Arc<dyn Log>, &views, projections::ALL, |_| {}).await?;
        eprintln!("built the views of {events} events in {:.1} s", report.elapsed.as_secs_f64());
    }
    let questions = views.read(questions).await?;
    let measured = questions.iter().map(|_| Measured::nothing()).collect::<Result<_, _>>()?;
    Ok(Shop { events, views, questions, measured })
}

/// The lists, each with what was found out about this shop before.
fn questions(reader: &Reader<'_>) -> Result<Vec<(&'static str, Question)>, ViewError> {
    let published = ProductFilter { state: Some(ProductState::Published), ..ProductFilter::default() };
    let largest = reader.product_facets(&published, None)?.categories.into_iter().map(|facet| facet.category_id).next();
    let in_category = ProductFilter { category_ids: Some(largest.into_iter().collect()), ..published.clone() };
    let all = OrderFilter::default();
    let statuses = Some(vec![OrderStatus::Paid, OrderStatus::Processing, OrderStatus::PartiallyShipped]);
    let to_do = OrderFilter { statuses, ..all.clone() };
    let to_country = OrderFilter { country: CountryCode::new("DE").ok(), ..all.clone() };
    let euro = Currency::new("EUR").map_or(ProductSort::Title, ProductSort::Price);

    let first = || vec![Page::first(PAGE)];
    let products_anywhere = |filter: &ProductFilter, sort: ProductSort| -> Result<Question, ViewError> {
        Ok(products(filter, sort, spread(|page| reader.products(filter, sort, false, page))?))
    };
    let orders_anywhere = |filter: &OrderFilter, sort: OrderSort, descending: bool| -> Result<Question, ViewError> {
        Ok(orders(filter, sort, descending, spread(|page| reader.orders(filter, sort, descending, page))?))
    };
    Ok(vec![
        ("products, the first page", products(&published, ProductSort::Title, first())),
        ("products", products_anywhere(&published, ProductSort::Title)?),
        ("products of the largest category", products_anywhere(&in_category, ProductSort::Title)?),
        ("products, the cheapest first", products_anywhere(&published, euro)?),
        ("orders, the first page", orders(&all, OrderSort::Placed, true, first())),
        ("orders", orders_anywhere(&all, OrderSort::Placed, true)?),
        ("orders to be shipped, the oldest first", orders_anywhere(&to_do, OrderSort::Placed, false)?),
        ("orders to a country", orders_anywhere(&to_country, OrderSort::Placed, true)?),
        ("orders to a country, the largest first", orders_anywhere(&to_country, OrderSort::Gross, true)?),
    ])
}

/// One of these pages, with what a shop window shows of each product.
fn products(filter: &ProductFilter, sort: ProductSort, pages: Vec<Page>) -> Question {
    let filter = filter.clone();
    Arc::new(move |reader: &Reader<'_>| {
        let listed = reader.products(&filter, sort, false, drawn(&pages))?;
        let ids: Vec<_> = listed.items.iter().map(|(_, product)| product.product_id).collect();
        let variants = reader.variants_of(&ids)?;
        let ids: Vec<_> = variants.values().flatten().map(|variant| variant.variant_id).collect();
        reader.prices_of(&ids).map(drop)
    })
}

/// One of these pages.
fn orders(filter: &OrderFilter, sort: OrderSort, descending: bool, pages: Vec<Page>) -> Question {
    let filter = filter.clone();
    Arc::new(move |reader: &Reader<'_>| reader.orders(&filter, sort, descending, drawn(&pages)).map(drop))
}

fn drawn(pages: &[Page]) -> &Page {
    &pages[fastrand::usize(..pages.len())]
}

/// Pages from all over a list, at equal distances. All of them are full unless the list has less than a page.
fn spread<T>(list: impl Fn(&Page) -> Result<Listed<T>, ViewError>) -> Result<Vec<Page>, ViewError> {
    let rows = list(&Page::first(1).counted())?.total.unwrap_or(0);
    let (mut pages, mut passed, mut after) = (vec![Page::first(PAGE)], 0, None);
    for number in 1..PLACES {
        let place = rows.saturating_sub(PAGE.into()) * number / PLACES;
        if place == passed {
            // There are fewer rows than places.
            continue;
        }
        let on_the_way = Page { after, ..Page::first(u32::try_from(place - passed).unwrap_or(u32::MAX)) };
        let Some((cursor, _)) = list(&on_the_way)?.items.pop() else { break };
        pages.push(Page::first(PAGE).after(cursor.clone()));
        (passed, after) = (place, Some(cursor));
    }
    Ok(pages)
}

fn print(shops: &[Shop], concurrency: usize) {
    println!(
        "pages of {PAGE} rows read from the views by {concurrency} readers, shops of different size in turns; each page from \
         another of up to {PLACES} places all over the list, unless it is the first"
    );
    let Some(smallest) = shops.first() else { return };
    let rows = shops.iter().flat_map(|shop| {
        shop.questions.iter().enumerate().map(|(number, (name, _))| {
            let (ours, least) = (&shop.measured[number], &smallest.measured[number]);
            let [p50, p99] = [0.5, 0.99].map(|quantile| decimal(ours.quantile_ms(quantile), 3));
            let [to_p50, to_p99] =
                [0.5, 0.99].map(|quantile| decimal(ours.quantile_ms(quantile) / least.quantile_ms(quantile).max(0.001), 2));
            [(*name).to_owned(), shop.events.to_string(), decimal(ours.per_second(), 0), p50, p99, to_p50, to_p99]
        })
    });
    let mut rows: Vec<_> = rows.collect();
    // By list, so that the sizes of one stand together; the sort is stable.
    let place = |name: &str| smallest.questions.iter().position(|(known, _)| *known == name);
    rows.sort_by_key(|[name, ..]| place(name));
    print_table(["list", "events", "pages/s", "p50 ms", "p99 ms", "p50 to first", "p99 to first"], rows.into_iter());
}

fn print_json(shops: &[Shop], concurrency: usize) {
    let rows = shops.iter().flat_map(|shop| {
        shop.questions.iter().zip(&shop.measured).map(|((name, _), measured)| {
            json!({ "list": name, "events": shop.events, "pages_per_s": measured.per_second(),
                "p50_ms": measured.quantile_ms(0.5), "p99_ms": measured.quantile_ms(0.99) })
        })
    });
    println!("{}", json!({ "rows": rows.collect::<Vec<_>>(), "concurrency": concurrency }));
}
