//! The operations and their numbers.

/// An operation of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are the protocol's
pub enum Opcode {
    Create,
    Delete,
    Exists,
    GetData,
    SetData,
    GetAcl,
    SetAcl,
    GetChildren,
    Sync,
    Ping,
    GetChildren2,
    Check,
    Multi,
    Create2,
    Reconfig,
    CheckWatches,
    RemoveWatches,
    CreateContainer,
    DeleteContainer,
    CreateTtl,
    MultiRead,
    Auth,
    SetWatches,
    Sasl,
    GetEphemerals,
    GetAllChildrenNumber,
    SetWatches2,
    AddWatch,
    WhoAmI,
    CreateSession,
    CloseSession,
}

/// Each operation with its number and the four letters by which `cons` and `stat` call it.
const TABLE: &[(Opcode, i32, &str)] = &[
    (Opcode::Create, 1, "CREA"),
    (Opcode::Delete, 2, "DELE"),
    (Opcode::Exists, 3, "EXIS"),
    (Opcode::GetData, 4, "GETD"),
    (Opcode::SetData, 5, "SETD"),
    (Opcode::GetAcl, 6, "GETA"),
    (Opcode::SetAcl, 7, "SETA"),
    (Opcode::GetChildren, 8, "GETC"),
    (Opcode::Sync, 9, "SYNC"),
    (Opcode::Ping, 11, "PING"),
    (Opcode::GetChildren2, 12, "GETC"),
    (Opcode::Check, 13, "CHEC"),
    (Opcode::Multi, 14, "MULT"),
    (Opcode::Create2, 15, "CREA"),
    (Opcode::Reconfig, 16, "RECO"),
    (Opcode::CheckWatches, 17, "CHKW"),
    (Opcode::RemoveWatches, 18, "REMW"),
    (Opcode::CreateContainer, 19, "CREA"),
    (Opcode::DeleteContainer, 20, "DELE"),
    (Opcode::CreateTtl, 21, "CREA"),
    (Opcode::MultiRead, 22, "MLTR"),
    (Opcode::Auth, 100, "AUTH"),
    (Opcode::SetWatches, 101, "SETW"),
    (Opcode::Sasl, 102, "SASL"),
    (Opcode::GetEphemerals, 103, "GETE"),
    (Opcode::GetAllChildrenNumber, 104, "GETACN"),
    (Opcode::SetWatches2, 105, "STW2"),
    (Opcode::AddWatch, 106, "ADDW"),
    (Opcode::WhoAmI, 107, "HOMI"),
    (Opcode::CreateSession, -10, "SESS"),
    (Opcode::CloseSession, -11, "CLOS"),
];

impl Opcode {
    /// The operation of that number.
    pub fn from_code(code: i32) -> Option<Opcode> {
        TABLE.iter().find(|(_, number, _)| *number == code).map(|(opcode, ..)| *opcode)
    }

    /// Its number on the wire.
    pub fn code(self) -> i32 {
        self.row().map_or(0, |(_, code, _)| *code)
    }

    /// What `cons` shows as the last operation.
    pub fn letters(self) -> &'static str {
        self.row().map_or("NA", |(.., letters)| letters)
    }

    fn row(self) -> Option<&'static (Opcode, i32, &'static str)> {
        TABLE.iter().find(|(opcode, ..)| *opcode == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number names one operation and comes back from it.
    #[test]
    fn numbers_are_unique() {
        for (i, (opcode, code, letters)) in TABLE.iter().enumerate() {
            assert!(TABLE[..i].iter().all(|(other, number, _)| other != opcode && number != code));
            assert_eq!(Opcode::from_code(*code), Some(*opcode));
            assert_eq!((opcode.code(), opcode.letters()), (*code, *letters));
        }
        assert_eq!((Opcode::from_code(0), Opcode::from_code(10), Opcode::from_code(-1)), (None, None, None));
    }
}
