//! Memory of the tables that grow with the number of keys.

/// Grows a full table by an eighth, not to twice its size: a process of many keys holds little that it does not use.
#[inline]
pub(super) fn grow<T>(table: &mut Vec<T>) {
    if table.len() == table.capacity() {
        table.reserve_exact((table.len() / 8).max(4));
    }
}
