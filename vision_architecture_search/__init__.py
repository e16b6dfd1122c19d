"""What was found, from Python: searches, their architectures, and the networks that they leave.

    import vision_architecture_search as vas

    search = vas.start_search("resnet_stages", {"data": "digits", "search.trials": 8}, progress=print)
    search.front()                                  # a pandas DataFrame
    search.draw_front()                             # a Matplotlib figure
    bundle = search.export("knee")
    bundle.predict(["picture.png"])[0].guesses[0]   # the most probable class

Bundles, costs and networks need no packages of the search; what needs them loads them when it is called.
"""

from search_spaces.errors import UserError
from vision_architecture_search.bundles import OpenBundle, open_bundle
from vision_architecture_search.networks import architecture, build, cost
from vision_architecture_search.running import SearchFailed, SearchProgress
from vision_architecture_search.searches import Search, open_search, start_search

__all__ = [
    "OpenBundle",
    "Search",
    "SearchFailed",
    "SearchProgress",
    "UserError",
    "architecture",
    "build",
    "cost",
    "open_bundle",
    "open_search",
    "start_search",
]
