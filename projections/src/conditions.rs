//! The conditions of a list, and which of them leads to its rows.
//!
//! A page of a sorted list is read in one of two ways that both look at few rows, however many there are: along an index
//! that is in the list's order, checking each row, until the page is full; or from a condition that only few rows meet,
//! which are then sorted. Nobody knows the statistics of both stores well enough to leave that to their planners, so it is
//! said here: the condition that leads is written so that an index can find its rows, and every other one so that none can.

use std::collections::BTreeSet;

use crate::{Column, Reader, Value, ViewError};

/// So many rows are few: sorting them takes about as long as looking for a page among a million.
const FEW: usize = 1_000;

/// How many rows a condition leaves, and what finds them.
#[derive(Debug, Clone, PartialEq)]
enum Reach {
    /// Perhaps many, and no index finds them.
    Checked,
    /// Few, whatever the value: an index finds them.
    Few,
    /// A part of the list in its order.
    Stretch,
    /// Perhaps many. An index finds them; `in_order` says that it goes on in the list's order.
    Many { in_order: bool },
}

#[derive(Debug, Clone)]
struct Clause {
    /// So written that an index can find the rows.
    seek: String,
    /// So written that only a row at hand can be asked.
    check: String,
    /// The rows that an index finds, to be counted up to a bound; those of `seek` in the list's own table if absent.
    source: Option<String>,
    parameters: Vec<Value<'static>>,
    reach: Reach,
    /// The values of a column that may be one of several.
    any: BTreeSet<Value<'static>>,
}

impl Clause {
    fn new(seek: String, parameters: Vec<Value<'static>>, reach: Reach) -> Self {
        let check = format!("({seek}) IS TRUE");
        Self { seek, check, source: None, parameters, reach, any: BTreeSet::new() }
    }
}

/// Conditions that all hold, with their parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    clauses: Vec<Clause>,
}

/// What leads to the rows of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lead {
    /// The list's order, and conditions that leave few rows whatever their value.
    Order,
    /// A condition whose rows an index has in the list's order.
    InOrder(usize),
    /// A condition that turned out to leave few rows.
    Few(usize),
}

impl Conditions {
    fn add(&mut self, seek: String, parameters: Vec<Value<'static>>, reach: Reach) {
        self.clauses.push(Clause::new(seek, parameters, reach));
    }

    /// A condition that no index helps with, with a `?` for each value.
    pub fn check(&mut self, clause: &str, parameters: Vec<Value<'static>>) {
        let clause = Clause::new(clause.to_owned(), parameters, Reach::Checked);
        self.clauses.push(Clause { check: clause.seek.clone(), ..clause });
    }

    /// As [`Conditions::check`] with one `?`, if there is a value for it.
    pub fn check_when<T: Column>(&mut self, value: Option<&T>, clause: &str) {
        if let Some(value) = value {
            self.check(clause, vec![value.value().into_owned()]);
        }
    }

    /// The column has a value that few rows share, if one is asked for. An index must begin with it.
    pub fn few<T: Column>(&mut self, value: Option<&T>, column: &str) {
        if let Some(value) = value {
            self.add(format!("{column} = ?"), vec![value.value().into_owned()], Reach::Few);
        }
    }

    /// The column has a value that many rows may share, if one is asked for. An index must begin with it; `in_order` when
    /// that index goes on in the list's order.
    pub fn many<T: Column>(&mut self, value: Option<&T>, column: &str, in_order: bool) {
        if let Some(value) = value {
            self.add(format!("{column} = ?"), vec![value.value().into_owned()], Reach::Many { in_order });
        }
    }

    /// As [`Conditions::many`] for one of several values; no row when there are none.
    pub fn any_of<T: Column>(&mut self, values: &[T], column: &str, in_order: bool) {
        let any: BTreeSet<_> = values.iter().map(|value| value.value().into_owned()).collect();
        let mut clause = Clause::new(listed(column), vec![list(values)], Reach::Many { in_order });
        if let (1, Some(one)) = (any.len(), any.first()) {
            clause = Clause::new(format!("{column} = ?"), vec![one.clone()], clause.reach);
        }
        self.clauses.push(Clause { any, ..clause });
    }

    /// The column is one of a few values, each of which few rows have. An index must begin with it.
    pub fn few_of<T: Column>(&mut self, values: &[T], column: &str) {
        self.add(listed(column), vec![list(values)], Reach::Few);
    }

    /// From (inclusive) and to (exclusive). An index must begin with the column; `in_order` when the list's order does.
    pub fn between<T: Column>(&mut self, column: &str, from: Option<&T>, to: Option<&T>, in_order: bool) {
        let reach = if in_order { Reach::Stretch } else { Reach::Many { in_order } };
        let bounds = [from.map(|from| (format!("{column} >= ?"), from)), to.map(|to| (format!("{column} < ?"), to))];
        let (sql, values): (Vec<_>, Vec<_>) = bounds.into_iter().flatten().unzip();
        if !sql.is_empty() {
            self.add(sql.join(" AND "), values.into_iter().map(|value| value.value().into_owned()).collect(), reach);
        }
    }

    /// The row of `t` has one in another table `m`, by the column that both have: `table AS m WHERE condition`. An index
    /// of that table must find those that meet the condition, and another the one of a row.
    pub fn has(&mut self, column: &str, source: &str, parameters: Vec<Value<'static>>) {
        let clause = Clause {
            check: format!("EXISTS (SELECT 1 FROM {source} AND m.{column} = t.{column})"),
            source: Some(source.to_owned()),
            ..Clause::new(format!("t.{column} IN (SELECT m.{column} FROM {source})"), parameters, Reach::Many { in_order: false })
        };
        self.clauses.push(clause);
    }

    /// `WHERE …`, or nothing, for a statement that needs all rows.
    pub fn sql(&self) -> String {
        let clauses: Vec<_> = self.clauses.iter().map(|clause| clause.seek.as_str()).collect();
        if clauses.is_empty() { String::new() } else { format!("WHERE {}", clauses.join(" AND ")) }
    }

    pub fn parameters(&self) -> Vec<Value<'static>> {
        self.clauses.iter().flat_map(|clause| clause.parameters.iter().cloned()).collect()
    }

    /// What should lead to the rows of a page of `table`.
    pub fn lead(&self, reader: &Reader<'_>, table: &str) -> Result<Lead, ViewError> {
        let is_many = |(_, clause): &(usize, &Clause)| matches!(clause.reach, Reach::Many { .. });
        let many: Vec<_> = self.clauses.iter().enumerate().filter(is_many).collect();
        let in_order = many.iter().find(|(_, clause)| clause.reach == Reach::Many { in_order: true });
        let in_order = in_order.map_or(Lead::Order, |(index, _)| Lead::InOrder(*index));
        if self.clauses.iter().any(|clause| clause.reach == Reach::Few) {
            return Ok(Lead::Order);
        }
        if many.len() == 1 && in_order != Lead::Order {
            return Ok(in_order);
        }
        for (index, clause) in many {
            let source = clause.source.clone().unwrap_or_else(|| format!("{table} AS t WHERE {}", clause.seek));
            let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {source} LIMIT {}) AS found", FEW + 1);
            if reader.integer(&sql, &clause.parameters)? <= FEW as i64 {
                return Ok(Lead::Few(index));
            }
        }
        Ok(in_order)
    }

    /// The conditions of a page that is led to: once, or once for each value of a column that leads with several, because
    /// no index has the rows of several values in the list's order.
    pub fn led(&self, lead: Lead) -> Vec<Led> {
        let any = |index: usize| &self.clauses[index].any;
        match lead {
            Lead::InOrder(index) if any(index).len() > 1 => {
                let of_each = any(index).iter().map(|value| {
                    let mut one = self.clone();
                    let column = one.clauses[index].seek.split(' ').next().unwrap_or_default().to_owned();
                    one.clauses[index] = Clause::new(format!("{column} = ?"), vec![value.clone()], Reach::Few);
                    one.written(lead)
                });
                of_each.collect()
            }
            _ => vec![self.written(lead)],
        }
    }

    fn written(&self, lead: Lead) -> Led {
        let mut led = Led { clauses: Vec::new(), parameters: self.parameters(), few: matches!(lead, Lead::Few(_)) };
        for (index, clause) in self.clauses.iter().enumerate() {
            let leads = matches!(lead, Lead::InOrder(leader) | Lead::Few(leader) if leader == index);
            let seeks = match clause.reach {
                Reach::Checked => false,
                Reach::Few => true,
                Reach::Stretch => !led.few,
                Reach::Many { .. } => leads,
            };
            led.clauses.push(if seeks { &clause.seek } else { &clause.check }.clone());
        }
        led
    }
}

/// Conditions as they are written for one page.
#[derive(Debug, Clone)]
pub(crate) struct Led {
    clauses: Vec<String>,
    pub parameters: Vec<Value<'static>>,
    /// Whether few rows are left, so that nothing else may lead.
    few: bool,
}

impl Led {
    /// One more condition, on the columns that the list is sorted by.
    pub fn stretch(&mut self, clause: String, parameters: impl IntoIterator<Item = Value<'static>>) {
        self.clauses.push(if self.few { format!("({clause}) IS TRUE") } else { clause });
        self.parameters.extend(parameters);
    }

    /// One more condition, which no index helps with.
    pub fn check(&mut self, clause: &str) {
        self.clauses.push(clause.to_owned());
    }

    /// `WHERE …`, or nothing.
    pub fn sql(&self) -> String {
        if self.clauses.is_empty() { String::new() } else { format!("WHERE {}", self.clauses.join(" AND ")) }
    }
}

fn listed(column: &str) -> String {
    format!("{column} IN (SELECT value FROM json_each(?))")
}

/// A list as one parameter, so that the statement is the same for any number of values.
pub(crate) fn list<T: Column>(values: &[T]) -> Value<'static> {
    let values = values.iter().map(|value| crate::page::json(&value.value())).collect();
    Value::Text(serde_json::Value::Array(values).to_string().into())
}
