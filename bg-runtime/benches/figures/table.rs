//! The table: one line per figure.

use std::fmt;

/// One line of the table.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) measured: Measured,
    /// At most this much; `None` for a line that only explains another.
    pub(crate) goal: Option<f64>,
    pub(crate) unit: &'static str,
}

pub(crate) enum Measured {
    Value(f64),
    /// Not measured, for this reason.
    Not(&'static str),
}

impl Figure {
    pub(crate) fn print(&self) {
        println!("{self}");
    }

    /// The verdict rests on the number as it is printed.
    fn rounded(value: f64) -> f64 {
        (value * 100.0).round() / 100.0
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit;
        let (measured, verdict) = match self.measured {
            Measured::Value(value) => {
                let value = Self::rounded(value);
                let verdict = self
                    .goal
                    .map(|goal| if value <= goal { "met" } else { "missed" });
                (format!("{value:.2}{unit}"), verdict.unwrap_or("-"))
            }
            Measured::Not(_) => ("-".to_owned(), "not measured"),
        };
        let goal = self
            .goal
            .map_or_else(|| "-".to_owned(), |goal| format!("{goal:.2}{unit}"));
        write!(
            f,
            "| {:<82} | {measured:>11} | {goal:>11} | {verdict} |",
            self.name
        )?;
        if let Measured::Not(reason) = self.measured {
            write!(f, " {reason}")?;
        }
        Ok(())
    }
}

pub(crate) fn print_head() {
    println!(
        "| {:<82} | {:>11} | {:>11} | verdict |",
        "figure", "measured", "goal"
    );
    println!("|{:-<84}|{:->12}:|{:->12}:|---|", "", "", "");
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
