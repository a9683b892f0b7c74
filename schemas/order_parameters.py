"""The parameters that orders have, each described once, for every type that takes it."""

from schemas.parameters import MAX_INT, Choice, Parameter, ParameterKind

_LINES, _LIST, _TEXT = ParameterKind.LINES, ParameterKind.LIST, ParameterKind.TEXT
_NUMBER, _CHOICE = ParameterKind.NUMBER, ParameterKind.CHOICE

#: The most lines of a list that is not counted.
_MOST_LINES = 10_000
_MOST_POSTS = 10_000

LINK = Parameter(
    "link",
    ParameterKind.LINK,
    "Link to the page, or the name of the account. Not more than one; without a password in it.",
    "https://www.instagram.com/p/Cexample01/",
    cleaned=True,
)
QUANTITY = Parameter("quantity", ParameterKind.QUANTITY, "How many are wanted.", "1000")
COMMENTS = Parameter(
    "comments",
    _LINES,
    "The comments, one a line. Their number is the quantity.",
    "Lovely light!\nWhere is this?\nSaved for later",
)
PACKED_COMMENTS = Parameter(
    "comments",
    _LINES,
    "The comments, one a line.",
    "Lovely light!\nWhere is this?",
    most=_MOST_LINES,
)
USERNAMES = Parameter(
    "usernames",
    _LIST,
    "The accounts to mention, one a line.",
    "first.account\nsecond.account",
    most=_MOST_LINES,
    aliases=("mentions_custom", "mentions"),
)
COUNTED_USERNAMES = Parameter(
    "usernames",
    _LIST,
    "The accounts to mention, one a line. Their number is the quantity.",
    "first.account\nsecond.account\nthird.account\nfourth.account\nfifth.account",
    aliases=("mentions_custom", "mentions"),
)
HASHTAGS = Parameter(
    "hashtags",
    _LIST,
    "The hashtags, one a line.",
    "#goodphoto\n#travel",
    most=_MOST_LINES,
    aliases=("mentions_hashtags",),
)
HASHTAG = Parameter(
    "hashtag", _TEXT, "The hashtag whose users are mentioned.", "#goodphoto", most=255
)
FOLLOWED = Parameter(
    "username",
    _TEXT,
    "The account whose followers are mentioned: its name or its link.",
    "some.account",
    most=2048,
    cleaned=True,
)
MEDIA = Parameter(
    "media",
    ParameterKind.LINK,
    "Link to the post whose likers are mentioned.",
    "https://www.instagram.com/p/Cexample02/",
    cleaned=True,
)
COMMENTER = Parameter(
    "username", _TEXT, "The account that wrote the comment.", "some.account", most=255
)
REPLIES = Parameter(
    "comments",
    _LINES,
    "The replies, one a line. Their number is the quantity.",
    "Thank you!\nWelcome back",
)
ANSWER = Parameter(
    "answer_number",
    _NUMBER,
    "Which answer of the poll, counted from 1.",
    "2",
    least=1,
    most=1000,
    aliases=("poll",),
)
GROUPS = Parameter(
    "groups",
    _LIST,
    "Links to the groups whose members are invited, one a line.",
    "https://t.me/first_group\nhttps://t.me/second_group",
    most=_MOST_LINES,
    cleaned=True,
)
KEYWORDS = Parameter(
    "keywords",
    _LIST,
    "The keywords, one a line.",
    "holiday flat\ncheap flights",
    most=_MOST_LINES,
)
SUBSCRIBER = Parameter(
    "username",
    _TEXT,
    "The account whose posts are served: its name or its link.",
    "some.account",
    most=2048,
    cleaned=True,
)
MIN = Parameter("min", _NUMBER, "The least quantity for each post.", "100", least=1, most=MAX_INT)
MAX = Parameter(
    "max",
    _NUMBER,
    "The largest quantity for each post; this is what is charged.",
    "200",
    least=1,
    most=MAX_INT,
)
POSTS = Parameter(
    "posts",
    _NUMBER,
    "How many future posts are served; 0, or left out, for old posts only. There are no"
    " subscriptions without an end.",
    "5",
    required=False,
    most=_MOST_POSTS,
    default="0",
)
OLD_POSTS = Parameter(
    "old_posts",
    _NUMBER,
    "How many posts that exist already are served.",
    "2",
    required=False,
    most=_MOST_POSTS,
)
DELAY = Parameter(
    "delay",
    _CHOICE,
    "Minutes between a post and its order.",
    "30",
    choices=tuple(
        Choice(minutes)
        for minutes in (
            *(0, 5, 10, 15, 20, 30, 40, 50, 60, 90, 120, 150, 180, 210, 240, 270, 300),
            *(360, 420, 480, 540, 600),
        )
    ),
)
EXPIRY = Parameter(
    "expiry",
    ParameterKind.DATE,
    "The day after which no new posts are served, in UTC: d/m/Y or Y-m-d.",
    "31/12/2099",
    required=False,
)
COUNTRY = Parameter("country", _TEXT, "Where visitors come from: a code or a name.", "US", most=100)
DEVICE = Parameter(
    "device",
    _CHOICE,
    "What visitors use.",
    "5",
    choices=(
        Choice(1, "desktop"),
        Choice(2, "mobile, Android"),
        Choice(3, "mobile, iOS"),
        Choice(4, "mobile, mixed"),
        Choice(5, "mobile and desktop, mixed"),
    ),
)
TRAFFIC = Parameter(
    "type_of_traffic",
    _CHOICE,
    "Where visitors seem to come from.",
    "1",
    choices=(
        Choice(1, "search, with google_keyword"),
        Choice(2, "another page, with referring_url"),
        Choice(3, "no referrer"),
    ),
)
GOOGLE_KEYWORD = Parameter(
    "google_keyword",
    _TEXT,
    "What visitors seem to have searched for.",
    "holiday flat",
    required=False,
    most=255,
    needed_when=("type_of_traffic", "1"),
)
REFERRING_URL = Parameter(
    "referring_url",
    ParameterKind.LINK,
    "The page that visitors seem to come from.",
    "https://news.example/today",
    required=False,
    needed_when=("type_of_traffic", "2"),
)

RUNS = Parameter(
    "runs",
    _NUMBER,
    "How many times the order is repeated; quantity is per run, and all runs are charged at once."
    " 0 or 1 is an ordinary order.",
    "5",
    required=False,
    most=1000,
)
INTERVAL = Parameter(
    "interval",
    _NUMBER,
    "Minutes between two runs, up to 30 days. Only together with runs.",
    "60",
    required=False,
    least=1,
    most=43_200,
    aliases=("intervals", "intevals"),
)
MAX_CHARGE = Parameter(
    "max_charge",
    ParameterKind.AMOUNT,
    "The most that the order may cost in all; above it, nothing is ordered.",
    "2.50",
    required=False,
)
#: What an order of any type may carry besides; drip-feed only where type and service allow it.
ORDER_OPTIONS = (RUNS, INTERVAL, MAX_CHARGE)
