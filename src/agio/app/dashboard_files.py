"""The dashboard's files, served at `/`."""

from litestar import MediaType, Response, Router, get


def build_router() -> Router:
    @get("/", opt={"public": True}, sync_to_thread=False, include_in_schema=False)
    def show_dashboard() -> Response[str]:
        return Response("<p>The dashboard was not built.</p>", media_type=MediaType.HTML)

    return Router("/", route_handlers=[show_dashboard])
