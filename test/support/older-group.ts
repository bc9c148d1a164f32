// A group's storage as earlier releases left it. It is derived from that of this release through the views for the previous
// release, so it holds the same group.

/** To version 2, that of release 0.2, with a row for each member at its epoch, and for each committed offset. */
export const AGE_GROUP_TO_2: readonly string[] = [
  "CREATE TABLE old_members (member_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
  "INSERT INTO old_members SELECT member_id, json FROM members",
  `CREATE TABLE old_offsets (partition TEXT PRIMARY KEY, committed_offset INTEGER NOT NULL, metadata TEXT NOT NULL,
     committed_at_ms INTEGER NOT NULL, leader_epoch INTEGER) WITHOUT ROWID`,
  `INSERT INTO old_offsets
     SELECT partition, committed_offset, metadata, committed_at_ms, leader_epoch FROM offsets`,
  "DROP VIEW members",
  "DROP VIEW offsets",
  "DROP TRIGGER group_of_the_release_before",
  "DROP TABLE stored_members",
  "DROP TABLE positions",
  "DROP TABLE deadline",
  "DROP TABLE notes",
  "DROP INDEX topic_ids",
  "ALTER TABLE old_members RENAME TO members",
  "ALTER TABLE old_offsets RENAME TO offsets",
  "ALTER TABLE group_state DROP COLUMN attached_members",
  "ALTER TABLE group_state DROP COLUMN member_count",
  "ALTER TABLE group_state DROP COLUMN kind",
  "UPDATE schema_version SET version = 2, oldest_reader = 1",
];

/** To version 1: that of release 0.1 before it committed a leader epoch. It had no table for its version. */
export const AGE_GROUP_TO_1: readonly string[] = [
  ...AGE_GROUP_TO_2,
  "ALTER TABLE group_state DROP COLUMN group_id",
  "ALTER TABLE offsets DROP COLUMN leader_epoch",
  "DROP TABLE schema_version",
];
