"""`onhand db`: bring the schema up to date, check, repair, back up and restore."""


import typer
from rich.console import Console

from onhand.db.embedded import located
from onhand.settings import Settings

out = Console(soft_wrap=True, highlight=False)
commands = typer.Typer(
    no_args_is_help=True, help="Upgrade, verify, rebuild, back up and restore the database."
)


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="db")


@commands.command()
def upgrade() -> None:
    """Apply the migrations that the database lacks. Safe to run twice, and by two processes at
    once.
    """
    from onhand.db.migrate import migrate

    settings = Settings.load()
    with located(settings.database_url, settings.home) as url:
        applied = migrate(url)
    for name in applied:
        out.print(f"applied {name}")
    if not applied:
        out.print("up to date")
