//! Which door a connection belongs to.

use crate::engine::Door;
use crate::types::ConnId;

/// One place a connection, as in the shell's table; bounded by it.
pub struct Routes {
    places: Vec<Option<(u32, Door)>>,
}

impl Routes {
    /// Room for `connections_max` connections.
    pub fn new(connections_max: usize) -> Routes {
        Routes { places: vec![None; connections_max] }
    }

    /// A connection begins. One beyond the table has no door, and its bytes go nowhere.
    pub fn add(&mut self, conn: ConnId, door: Door) {
        if let Some(place) = self.places.get_mut(conn.index as usize) {
            *place = Some((conn.generation, door));
        }
    }

    /// The door of a connection that is open.
    pub fn door(&self, conn: ConnId) -> Option<Door> {
        match self.places.get(conn.index as usize)? {
            Some((generation, door)) if *generation == conn.generation => Some(*door),
            _ => None,
        }
    }

    /// A connection ends.
    pub fn remove(&mut self, conn: ConnId) -> Option<Door> {
        let door = self.door(conn)?;
        self.places[conn.index as usize] = None; // door() has checked the index
        Some(door)
    }
}
