//! What to try first.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::run::Options;
use crate::run::hub::Hub;
use crate::shell::output;

/// Prints six things to try, with a token and an id that work.
pub(super) fn print(hub: &Hub, options: &Options) -> Result<()> {
    let url = format!("http://{}", options.listen);
    let token = output(
        hub.command()
            .args(["token", "create", "demo", "--scope", "feedback:read"]),
    )?;
    let newest = output(hub.command().args(["feedback", "list", "--limit", "1", "--json"]))?;
    let id = id_of(&newest).unwrap_or_else(|| "ID".to_owned());
    let mihwar = command(&options.data);
    println!(
        "
Six things to try, in another terminal:

  1. Look: what came in last, what went out, which plugins run.
       {url}/
  2. List the newest Arabic records, and then those that speak of a delivery:
       {mihwar} feedback list --language ar --limit 10
       {mihwar} feedback list --text توصيل
  3. Ask the API, with a token that was made for you just now:
       curl -s -H 'Authorization: Bearer {}' '{url}/api/v1/feedback?department=billing&limit=5'
  4. See one record with everything that happened to it:
       {mihwar} feedback show {id}
  5. Prove that nothing was changed or lost since it came in:
       {mihwar} ledger verify
  6. Make a figure that others can make again, on each channel, with a receipt:
       {mihwar} metric run nps --from 2000-01-01 --to 2100-01-01 --by channel --receipt nps.json

The API is documented on {url}/api/docs . Stop with Ctrl-C.
",
        token.trim()
    );
    Ok(())
}

fn id_of(line: &str) -> Option<String> {
    let record: Value = serde_json::from_str(line.lines().next()?).ok()?;
    record.get("id")?.as_str().map(str::to_owned)
}

/// The hub's command as a person types it in the repository.
fn command(data: &Path) -> String {
    let program = "target/debug/mihwar";
    if data == Path::new(super::DATA) {
        program.to_owned()
    } else {
        format!("{program} --data {}", data.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_that_of_the_first_record() {
        assert_eq!(id_of("{\"id\":\"0190\"}\n{\"id\":\"0191\"}\n").as_deref(), Some("0190"));
        assert_eq!(id_of(""), None);
    }
}
