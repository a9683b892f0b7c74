-- A service that is seldom ordered is found without reading all orders.
create index orders_of_service on orders using brin (service_id int4_bloom_ops)
    with (pages_per_range = 32, autosummarize = on);
