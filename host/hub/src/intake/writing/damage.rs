//! What cannot be kept because something that the hub needs for it is damaged: what is answered, and where it stays.

use mihwar_model::{Actor, ContactId, FieldProblem};

use super::Writing;
use crate::fault::Fault;
use crate::inbound;
use crate::intake::{Arriving, Intake};

impl Writing<'_> {
    /// Keeps an arrival whole as a dead letter.
    pub(super) fn set_aside(&mut self, by: Arriving<'_>, problem: &FieldProblem) -> Result<(), Fault> {
        let id = inbound::item_id(self.core, by.instance, by.arrival);
        // One that is there already is of this very arrival.
        if !self.known.set_aside.insert(id) {
            return Ok(());
        }
        let letter = inbound::item_letter(self.core, id, by.instance, by.arrival, problem)?;
        self.edit(letter.row);
        self.event(&Actor::Hub, letter.event)?;
        if let Some((file, sealed)) = letter.file {
            self.write_file(file, sealed);
        }
        Ok(())
    }
}

/// Nothing more of an item can be kept: nobody can tell which record it is.
pub(super) fn damaged_row() -> Intake {
    let message = "the hub's row by which this item is known again is damaged, and nothing more of it can be kept or taken back; \
                   run: mihwar ledger verify";
    Intake::Damaged {
        problem: FieldProblem::new("external_id", message),
    }
}

/// Nothing more of an item can be kept: its contact's key is needed for it.
pub(super) fn damaged_key(contact: ContactId, what: &str) -> Intake {
    tracing::error!(%contact, "an item is refused: the key of its contact is {what}; run: mihwar ledger verify");
    let message = format!(
        "the hub's key of this contact is {what}, and nothing more of it can be kept; run: mihwar ledger verify"
    );
    Intake::Damaged {
        problem: FieldProblem::new("author", message),
    }
}
