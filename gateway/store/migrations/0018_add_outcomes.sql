-- How many orders were asked for in each minute, by what became of them, over all processes. Refused
-- ones leave no other trace. Rows are counts for people to look at, not part of the books.
create table add_outcome (
    minute timestamptz not null,
    outcome text not null,
    number bigint not null check (number > 0),
    primary key (minute, outcome)
);
