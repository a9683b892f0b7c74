"""PostgreSQL's own programs are led to the server that the gateway itself would use."""

from gateway.embedded.tools import environment_of


def _places(url: str) -> tuple[str | None, str | None]:
    found = environment_of(url)
    return found.get("PGHOST"), found.get("PGPORT")


def test_every_host_keeps_its_port() -> None:
    assert _places("postgresql://u@a:1,b,c:3/d") == ("a,b,c", "1,5432,3")
    assert _places("postgresql://u@[::1]:7/d") == ("::1", "7")
    assert _places("postgresql://u@%2Fvar%2Frun/d") == ("/var/run", "5432")
    assert _places("postgresql://u@/d?host=/var/run&port=7") == ("/var/run", "7")


def test_of_several_servers_the_one_that_takes_writes_is_copied() -> None:
    assert environment_of("postgresql://a,b/d")["PGTARGETSESSIONATTRS"] == "read-write"
    said = environment_of("postgresql://a,b/d?target_session_attrs=any")
    assert said["PGTARGETSESSIONATTRS"] == "any"


def test_what_a_url_says_as_parameters_is_said_too() -> None:
    found = environment_of(
        "postgresql://h/?user=u&password=a%40b&dbname=d&sslmode=verify-full&sslcert=/c&sslkey=/k"
    )
    assert (found["PGUSER"], found["PGPASSWORD"], found["PGDATABASE"]) == ("u", "a@b", "d")
    assert (found["PGSSLMODE"], found["PGSSLCERT"], found["PGSSLKEY"]) == (
        "verify-full",
        "/c",
        "/k",
    )
