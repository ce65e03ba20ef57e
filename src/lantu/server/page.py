"""Serves the studio, the web page in studio/."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

from lantu.server.http.errors import ApiError

FOLDER = Path(__file__).parent / "studio"
router = APIRouter(include_in_schema=False)


@router.get("/")
async def index() -> FileResponse:
    """The page itself."""
    if not (FOLDER / "index.html").is_file():
        raise ApiError(404, "this server has no web page", "not_found")
    return FileResponse(FOLDER / "index.html", headers={"cache-control": "no-cache"})


def mount(app: FastAPI) -> None:
    """Serve the page's other files under /studio."""
    app.mount("/studio", StaticFiles(directory=FOLDER, check_dir=False), name="studio")
