//! Tables on a terminal: right-aligned figures under their headings.

/// Prints a table with a heading.
pub(super) fn print_table<const N: usize>(headings: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    let rows: Vec<[String; N]> = rows.collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).chain([headings[column].len()]).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        println!("{}", cells.join("  "));
    };
    line(headings);
    for row in &rows {
        line(std::array::from_fn(|column| row[column].as_str()));
    }
}

/// A figure with so many decimals.
pub(super) fn decimal(figure: f64, decimals: usize) -> String {
    format!("{figure:.decimals$}")
}
