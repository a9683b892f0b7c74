#!/usr/bin/env bash
# Runs once, in a new PostgreSQL: the owner, who migrates, and the application's role.
set -euo pipefail
psql --set ON_ERROR_STOP=1 --username postgres \
    --set owner_password="$(cat /run/secrets/owner_password)" \
    --set app_password="$(cat /run/secrets/app_password)" <<'SQL'
create role smm_owner login password :'owner_password';
create role smm_app login password :'app_password';
grant pg_read_all_stats to smm_app;
create database smm owner smm_owner;
SQL
