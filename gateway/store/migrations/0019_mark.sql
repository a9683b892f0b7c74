-- A restored copy beside its original must not share wake-ups and limits with it: it gets a mark of its
-- own. Null is the mark that follows from the database itself.
alter table version add column mark text;
