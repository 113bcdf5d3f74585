"""The addresses that pages link to. Each has a whole search in it, so a page has few links if the search is long."""

from app.search_request.request import SearchRequest
from app.web.addresses import address_with
from app.web.request_limits import MAX_ADDRESS
from image_embeddings import errors

# Bytes of all links of one kind on a page. If the search is long, many links would make a page of many megabytes.
MOST_LINKED = 150_000


def search_address(search: SearchRequest, *, fragment: str | None = None) -> str:
    """Return the address of a search, from its first photo on."""
    return address_with("pages.image_search", search.parameters, fragment=fragment)


def address_to_follow(search: SearchRequest) -> str:
    """Return the address of a search, for a redirect.

    Raises:
        QueryError: if it is longer than an address may be.
    """
    address = search_address(search)
    if len(address) > MAX_ADDRESS:
        raise errors.QueryError(
            f"The search needs an address of {len(address):,} characters; {MAX_ADDRESS:,} at most. Leave something out."
        )
    return address


def can_link(count: int, length: int) -> bool:
    """Return whether a page may have `count` links with addresses of that length."""
    return count * length <= MOST_LINKED
