"""Where settings come from: a YAML file, then the environment and its files, then flags."""

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from gateway.errors import UserError
from gateway.peppers import Peppers
from gateway.redaction import hold_settings
from gateway.sealing import BadMasterKeys, MasterKeys
from schemas.config import SettingsModel


class Settings(SettingsModel, BaseSettings):
    """The settings of this process."""

    model_config = SettingsConfigDict(
        env_prefix="SMM_", env_nested_delimiter="__", extra="forbid", frozen=True
    )


def config_file(named: Path | None) -> Path | None:
    """The file to read: the named one, SMM_CONFIG, or config.yaml in the working directory.

    Raises:
        UserError: when a named file does not exist.
    """
    given = named or (Path(text) if (text := os.environ.get("SMM_CONFIG")) else None)
    if given is not None:
        if not given.is_file():
            raise UserError(f"there is no configuration file {given}: check --config or SMM_CONFIG")
        return given
    here = Path("config.yaml")
    return here if here.is_file() else None


def load_settings(named: Path | None = None, **flags: Any) -> Settings:
    """Read the settings; ``flags`` (nested like the file) win over the environment and the file.

    Raises:
        UserError: for an unknown setting or a bad value, in one line that names it.
    """
    file = config_file(named)
    values = _values_of(file) if file else {}
    variables = _variables()

    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            assert isinstance(env_settings, EnvSettingsSource)
            env_settings.env_vars = variables
            return (
                init_settings,
                env_settings,
                InitSettingsSource(settings_cls, init_kwargs=values),
            )

    try:
        read = Sourced(**flags)
    except ValidationError as error:
        first = error.errors()[0]
        name = _without_value(".".join(str(part) for part in first["loc"]))
        known = first["type"] != "extra_forbidden"
        what = first["msg"] if known else "there is no such setting"
        raise UserError(f"setting {name}: {what} (see config.yaml for all settings)") from None
    except SettingsError as error:
        raise UserError(f"{error}: levels are parted by __, see config.yaml") from None
    hold_settings(read)
    return read


def data_dir_of(settings: Settings) -> Path:
    """Where this machine's files are: as set, else the user's data folder, never the checkout."""
    if settings.data_dir is not None:
        return settings.data_dir
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "smm-gateway"


def _values_of(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read: {_why(error)}") from None
    if found is not None and not isinstance(found, dict):
        raise UserError(f"{file} holds no settings by name: see config.yaml for all of them")
    return found or {}


#: What a reader of YAML quotes: it may be a secret, unless it is one character or a kind of token.
_QUOTED = re.compile(r"""\s(['"])(?!(?:.|<[\w ]+>)\1).*""", re.DOTALL)


def _why(error: OSError | ValueError | yaml.YAMLError) -> str:
    """What is wrong with a file, and where, without a word of what stands there."""
    if isinstance(error, OSError):
        return str(error.strerror)
    if isinstance(error, UnicodeDecodeError):
        return "it is no text in UTF-8"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        problem, mark = _QUOTED.sub("", error.problem), error.problem_mark
        return f"{problem} in line {mark.line + 1}, column {mark.column + 1}"
    return "it holds a character or a value that YAML does not allow"


def _without_value(name: str) -> str:
    """A setting's name; where it is none, what may be one: ``{pepper:secret}`` lacks a space."""
    return re.sub(r"(?a)[^\w.-].*", "…", name, flags=re.DOTALL)


#: Read by the command line itself, not settings of the model.
_OTHER_VARIABLES = frozenset({"SMM_CONFIG"})


#: ``SMM_…__PEPPER_FILE`` names the file that holds ``SMM_…__PEPPER``.
_FILE = "_FILE"
_LONGEST_FILE = 65_536


def _variables() -> dict[str, str]:
    """Our variables by their names in lower case; where one names a file, what that holds.

    Raises:
        UserError: for a variable that names no setting, because a typing error would else be
            ignored without a word; for a setting that is given twice; for a file that cannot be
            read or is empty.
    """
    found: dict[str, str] = {}
    for variable in sorted(os.environ):
        if not variable.startswith("SMM_") or variable in _OTHER_VARIABLES:
            continue
        setting = variable
        if _setting_type(variable) is None:
            setting = variable.removesuffix(_FILE)
        kind = _setting_type(setting)
        if kind is None or (setting != variable and hasattr(kind, "model_fields")):
            raise UserError(
                f"{variable} names no setting (see config.yaml; levels are parted by __)"
            )
        if setting.lower() in found:
            raise UserError(f"{setting} and {variable} are both set: take one of them away")
        is_named = setting == variable
        found[setting.lower()] = os.environ[variable] if is_named else _read_setting(variable)
    return found


def _setting_type(variable: str) -> Any:
    """What a setting is, by its variable's name; None where there is no such setting."""
    model: Any = SettingsModel
    for part in variable.removeprefix("SMM_").lower().split("__"):
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return None
        model = field.annotation
    return model


def _read_setting(variable: str) -> str:
    """What the file that a variable names holds, without the line break at its end."""
    path = Path(os.environ[variable])
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST_FILE + 1).rstrip("\r\n")
    except OSError as error:
        raise UserError(f"{variable}: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{variable}: {path} is no text in UTF-8") from None
    if not text or len(text) > _LONGEST_FILE:
        raise UserError(f"{variable}: {path} is {'too large' if text else 'empty'}")
    return text


def require_master_keys(settings: Settings) -> MasterKeys:
    """What the secrets in the database are sealed with.

    Raises:
        UserError: when there is none, or one is none.
    """
    text = settings.security.master_keys
    if text is None:
        raise UserError(
            "no master key: set SMM_SECURITY__MASTER_KEYS to what `smm-gateway secret new-key` "
            "prints, and keep it, because the keys of your providers are sealed with it"
        )
    try:
        return MasterKeys.read(text.get_secret_value())
    except BadMasterKeys as error:
        raise UserError(
            f"setting security.master_keys: {error}; `smm-gateway secret new-key` prints one"
        ) from None


def require_peppers(settings: Settings) -> Peppers:
    """What API keys are hashed with.

    Raises:
        UserError: when it is not set.
    """
    if settings.security.pepper is None:
        raise UserError(
            "no pepper: set SMM_SECURITY__PEPPER to a secret of 32 characters or more, and "
            "keep it, because every API key is hashed with it"
        )
    old = settings.security.old_pepper
    return Peppers(
        settings.security.pepper.get_secret_value().encode(),
        None if old is None else old.get_secret_value().encode(),
    )
