//! `linkproof services`: the catalogue on standard output.

use super::{StartError, output};
use crate::catalogue::listing::Listing;
use crate::cli::ListFormat;

pub fn run(word: Option<&str>, region: Option<&str>, format: ListFormat) -> Result<u8, StartError> {
    let listing = Listing::new(word, region).map_err(StartError::Listing)?;
    let page = match format {
        ListFormat::Text => listing.text(),
        ListFormat::Json => listing.json().map_err(StartError::Json)?,
    };
    output::print(&page).map_err(StartError::Output)?;
    Ok(0)
}
