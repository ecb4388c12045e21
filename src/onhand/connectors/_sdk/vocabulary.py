"""The words of a `connector.yaml`: a channel's interface as a document, in a closed vocabulary.

A request is filled in from values by name (filling.py), an answer is read by JMESPath (mapping.py), a decision between
two ways is a condition in CEL over `status`, `headers` and `body`. There are no templates and there is no code: what
does not fit is a connector in Python, under the same interface (interface.py) and the same conformance kit.
"""

# ruff: noqa: RUF012 - pydantic copies a default for each document

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag

from onhand.base.fields import Strict
from onhand.connectors._sdk import mapping

VERSION: Final = 1

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Text = Annotated[str, Field(min_length=1, max_length=2_000)]


def _jmespath(text: str) -> str:
    mapping.path(text)
    return text


JmesPath = Annotated[str, Field(min_length=1, max_length=2_000, description="JMESPath"), AfterValidator(_jmespath)]
Condition = Annotated[str, Field(min_length=1, max_length=2_000, description="CEL: true or false")]
Blanks = Annotated[str, Field(max_length=4_000, description="text with {blanks}")]
Capability = Literal[
    "orders.pull",
    "orders.get",
    "orders.cancel",
    "orders.cancel_lines",
    "stock.push",
    "stock.pull",
    "prices.push",
    "prices.pull",
    "prices.currency",
    "listings.pull",
    "sales.pull",
    "fulfilments.push",
    "node_stock.pull",
    "payments.authorise",
    "payments.capture",
    "payments.void",
    "payments.refund",
    "payments.get",
]
"""What can be done with a channel; each has its own blanks and its own result."""

Then = Literal["retry", "unknown", "unauthorised", "stale", "gone", "refuse", "done"]
"""What an answer means: retry: nothing happened, later it may; unknown: it may have happened; unauthorised: sign in
again, once; stale: another number was there; gone: no such listing or order; refuse: never as it is; done: all well."""


class SettingIn(Strict):
    """Something the operator fills in when a channel is set up.

    description  asks for it, in a form
    default      if it is left out
    choices      of the type `choice`
    example      what somebody might write
    address      credentials are sent where it says, so with another one they are asked for again; `url` always is one
    """

    type: Literal["text", "url", "integer", "boolean", "choice", "map", "document"] = "text"
    description: Text
    required: bool = True
    default: str | int | bool | None = None
    choices: Annotated[list[Text], Field(max_length=50)] = []
    example: Text | None = None
    address: bool = False


class CredentialIn(Strict):
    """A secret that the operator fills in: kept encrypted, never shown, never logged."""

    description: Text
    required: bool = True


class ContractIn(Strict):
    """The vendor's own description of the interface, which `onhand channel lint` holds requests against.

    file  in the connector's folder, or in that given by --contract; with `{version}`, one for each version
    """

    kind: Literal["openapi", "graphql", "wordpress"]
    file: Text
    versions: Annotated[list[Text], Field(min_length=1, max_length=10)]


# Signing in -----------------------------------------------------------------------------------------------------------


class NoAuthIn(Strict):
    """Nobody signs in."""

    type: Literal["none"]


class HeaderAuthIn(Strict):
    """A key in a header."""

    type: Literal["header"]
    header: Text
    value: Blanks


class QueryAuthIn(Strict):
    """A key in the address."""

    type: Literal["query"]
    name: Text
    value: Blanks


class BasicAuthIn(Strict):
    """HTTP Basic (RFC 7617)."""

    type: Literal["basic"]
    user: Blanks
    password: Blanks


class BearerAuthIn(Strict):
    """A token that does not change (RFC 6750)."""

    type: Literal["bearer"]
    token: Blanks


class OAuth1In(Strict):
    """OAuth 1.0a with one leg (RFC 5849), as WooCommerce asks for without TLS."""

    type: Literal["oauth1"]
    key: Blanks
    secret: Blanks
    signature: Literal["HMAC-SHA256", "HMAC-SHA1"] = "HMAC-SHA256"
    basic_over_tls: bool = False


class OAuth2In(Strict):
    """OAuth 2.0: an access token for a refresh token, or for the client itself (RFC 6749)."""

    type: Literal["oauth2"]
    grant: Literal["refresh_token", "client_credentials"]
    token_url: Blanks
    client_id: Blanks
    client_secret: Blanks
    refresh_token: Blanks | None = None
    scope: Text | None = None
    header: Annotated[Text, Field(description="that carries the access token; Authorization: after `Bearer `")] = (
        "Authorization"
    )


class LoginIn(Strict):
    """A request that signs in; its answer has a token."""

    type: Literal["login"]
    request: "RequestIn"
    token: JmesPath | None = None
    token_header: Text | None = None
    header: Text = "Authorization"
    prefix: str = "Bearer "


class SignedIn(Strict):
    """Each request is signed, in the words for messages to us (`webhooks.verify`)."""

    type: Literal["signed"]
    by: "Signature"


Auth = Annotated[
    NoAuthIn | HeaderAuthIn | QueryAuthIn | BasicAuthIn | BearerAuthIn | OAuth1In | OAuth2In | LoginIn | SignedIn,
    Field(discriminator="type"),
]


# Limits and answers ---------------------------------------------------------------------------------------------------


class CostIn(Strict):
    """A budget that the answers tell: points that are left, and how fast they come back."""

    available: JmesPath
    restore_per_s: JmesPath
    requested: JmesPath
    reserve: Annotated[int, Field(ge=0, description="points left for others")] = 100


class LimitsIn(Strict):
    """How fast the channel may be asked. Beside it Retry-After is always obeyed.

    rate_per_s  requests a second, in the long run
    burst       requests that may come at once after a pause
    timeout_s   until an answer is given up
    cost        a budget of points, where the channel counts in them
    """

    rate_per_s: Annotated[float, Field(gt=0, le=10_000)] = 2.0
    burst: Annotated[int, Field(ge=1, le=100_000)] = 4
    at_once: Annotated[int, Field(ge=1, le=64, description="requests under way at the same time")] = 2
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 30.0
    cost: CostIn | None = None
    rate_header: Annotated[
        Text | None, Field(description="of an answer that says how many requests of its plan a second are allowed")
    ] = None


class PlanIn(Strict):
    """How fast one of the channel's operations may be asked, beside and apart from the others.

    rate_per_s  requests a second, in the long run
    burst       requests that may come at once after a pause
    """

    rate_per_s: Annotated[float, Field(gt=0, le=10_000)]
    burst: Annotated[int, Field(ge=1, le=100_000)]


class ErrorIn(Strict):
    """What an answer means. The first that holds counts; then the usual meanings of status codes.

    when           over `status`, `headers` and `body`
    then           what it means: `retry` later, nothing happened; `unknown`, it may have; `refuse`, never as it is; ...
    code, message  where the answer says why
    """

    when: Condition
    then: Then
    code: JmesPath | None = None
    message: JmesPath | None = None


# Requests -------------------------------------------------------------------------------------------------------------


class RequestIn(Strict):
    """One request. Of json, form and graphql at most one.

    query, headers  with blanks
    json       its body, with blanks
    form       its body as a form, with blanks
    variables  of the GraphQL document
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: Annotated[Blanks, Field(description="after base_url; or a whole URL")] = ""
    query: dict[Text, Any] = {}
    headers: dict[Text, Blanks] = {}
    json_: Annotated[Any, Field(alias="json")] = None
    omit_nulls: Annotated[bool, Field(description="fields of its JSON that have no value are left out")] = False
    form: dict[Text, Any] | None = None
    graphql: Annotated[Text | None, Field(description="file of a GraphQL document beside connector.yaml")] = None
    variables: dict[Text, Any] = {}
    plan: Annotated[Text | None, Field(description="among `plans`: the limit that this request counts for")] = None


class PagingIn(Strict):
    """How the next page is asked for.

    page     `{page}` counts from `first`
    offset   `{offset}` grows by `size`
    cursor   `{after}` is what `next` finds in the answer
    link     the answer's Link header names it (RFC 8288)
    url      the answer's body names it, by `next`
    """

    by: Literal["page", "offset", "cursor", "link", "url"]
    first: Annotated[int, Field(ge=0, le=1)] = 1
    size: Annotated[int, Field(ge=1, le=1_000)] = 100
    next: JmesPath | None = None
    more: Annotated[JmesPath | None, Field(description="true while there is more; else a full page tells")] = None


class CursorIn(Strict):
    """Where reading goes on the next time: `{cursor}` is the latest `each` of what was read, less `overlap_s`.

    sorted  the request asks for the oldest `each` first: with pages by number, each then begins where the one before
            ended, so that none is missed when an order changes meanwhile and the others move up
    """

    each: JmesPath
    sorted: bool = False
    overlap_s: Annotated[int, Field(ge=0, le=86_400)] = 60
    start_days: Annotated[int, Field(ge=0, le=365, description="before the channel was set up")] = 0


class StepIn(Strict):
    """One of several requests. What it keeps is known to the following ones as `{name.what}`.

    let   made of what is known, before the request
    when  without it the step is left out, and keeps only what it made
    save  found in the answer
    """

    name: Slug
    let: dict[Slug, JmesPath] = {}
    when: Condition | None = None
    request: RequestIn
    save: dict[Slug, JmesPath] = {}
    error: Annotated[JmesPath | None, Field(description="a text here means that it failed")] = None


class BatchIn(Strict):
    """Many writes in one request: `{items}` is the list of `item`, filled in for each.

    max   writes in one request
    item  one write, with blanks
    """

    max: Annotated[int, Field(ge=1, le=10_000)]
    item: Any
    unique: Annotated[bool, Field(description="a listing at most once in a batch")] = True
    split: Annotated[bool, Field(description="refused as a whole, it is sent again in halves: one stops no other")] = (
        False
    )


class OutcomesIn(Strict):
    """What became of each write of a batch.

    Either `items` lists one result for each, known by `id`, and by `place` where one answer tells of several (or
    standing in the order of the writes), with an `error` where it failed, and in `seen` what is shown now; or `errors`
    lists failures, each with the number of its write in `index`. atomic: one failure, and nothing was written.
    """

    items: JmesPath | None = None
    id: JmesPath | None = None
    place: JmesPath | None = None
    error: JmesPath | None = None
    errors: JmesPath | None = None
    index: JmesPath | None = None
    code: JmesPath | None = None
    message: JmesPath | None = None
    seen: JmesPath | None = None
    atomic: bool = False
    missing: Annotated[Then, Field(description="what a write means that the answer says nothing of")] = "unknown"
    codes: dict[Text, Then] = {}


class WriteIn(Strict):
    """What kind of write it is.

    guard         compare_and_set: `{expected}` is compared before it is set; read_then_write: it is read just before;
                  none: the last one wins
    confirmed_by  answer: what was acknowledged is shown; read: it is read again later
    idempotent    a repeat with the same `{key}` does nothing
    """

    guard: Literal["compare_and_set", "read_then_write", "none"]
    confirmed_by: Literal["answer", "read"] = "answer"
    idempotent: bool = False


class OperationIn(Strict):
    """How one thing is done.

    request   one; or steps: several, one after the other
    records   where the answer has what is read
    paging    how the next page is asked for
    cursor    where reading goes on the next time
    map       among `maps`: how records are read
    batch     many writes in one request
    outcomes  what became of each write of a batch
    write     what kind of write it is
    limits    its own, beside those of the account
    """

    for_: Annotated[
        Condition | None,
        Field(alias="for", description="of several ways the first whose condition holds, over `item`"),
    ] = None
    request: RequestIn | None = None
    steps: Annotated[list[StepIn], Field(max_length=10)] = []
    body: Annotated[
        JmesPath | None,
        Field(description="of steps: what counts as the answer, made of what they keep; left out: the last answer"),
    ] = None
    records: JmesPath = "@"
    paging: PagingIn | None = None
    cursor: CursorIn | None = None
    map: Slug | None = None
    batch: BatchIn | None = None
    outcomes: OutcomesIn | None = None
    write: WriteIn | None = None
    only_complete: Annotated[bool, Field(description="parcels are told when nothing is left to ship")] = False
    limits: LimitsIn | None = None


def _kind_of_operation(value: Any) -> str:
    return "several" if isinstance(value, list) else "one"


Operation = Annotated[
    Annotated[OperationIn, Tag("one")]
    | Annotated[list[OperationIn], Tag("several"), Field(min_length=1, max_length=10)],
    Discriminator(_kind_of_operation),
]
"""One way, or several for different listings or parcels."""


# Maps -----------------------------------------------------------------------------------------------------------------


class LookupIn(Strict):
    """A value translated by a table; what is not in it is `default`."""

    path: JmesPath
    table: Annotated[dict[str, str | int | bool], Field(min_length=1, max_length=500)]
    default: str | int | bool | None = None


class ConstIn(Strict):
    """Always the same."""

    const: str | int | bool


def _kind_of_source(value: Any) -> str:
    if isinstance(value, str):
        return "path"
    is_constant = isinstance(value, ConstIn) or (isinstance(value, dict) and "const" in value)
    return "constant" if is_constant else "lookup"


Source = Annotated[
    Annotated[JmesPath, Tag("path")] | Annotated[LookupIn, Tag("lookup")] | Annotated[ConstIn, Tag("constant")],
    Discriminator(_kind_of_source),
]
"""Where a field of ours comes from."""


class AddressMapIn(Strict):
    """Where an order goes; `at`: the record's part that the paths are in."""

    at: JmesPath = "@"
    country: Source
    region: Source | None = None
    postal_code: Source | None = None
    city: Source | None = None
    street: Source | None = None
    name: Source | None = None
    company: Source | None = None
    phone: Source | None = None


class LinesMapIn(Strict):
    """Lines of an order; `each`: the list of them. Money is in minor units: `money(price, currency)`, where `currency`
    is that of the order."""

    each: JmesPath
    when: Condition | None = None
    line_id: Source
    sku: Source | None = None
    external_item_id: Source | None = None
    name: Source | None = None
    quantity: Source
    cancelled: Source | None = None
    price_minor: Source
    tax_minor: Source | None = None


class OrderMapIn(Strict):
    """An order in our words.

    external_id  by which the channel knows it
    number       by which its customer knows it
    status       pending, open, completed or cancelled, mostly by a table
    placed_at, updated_at  moments
    service      delivery that was asked for
    """

    to: Literal["order"]
    external_id: Source
    number: Source | None = None
    status: Source
    currency: Source
    placed_at: Source
    updated_at: Source | None = None
    email: Source | None = None
    phone: Source | None = None
    name: Source | None = None
    service: Source | None = None
    destination: AddressMapIn | None = None
    lines: LinesMapIn


class LevelMapIn(Strict):
    """How many units a listing shows.

    external_id, external_sku  names of the listing at the channel
    place     of the channel's places, where it has several
    quantity  units
    """

    to: Literal["level"]
    external_id: Source
    external_sku: Source | None = None
    place: Source | None = None
    quantity: Source


class PriceMapIn(Strict):
    """What a listing costs. Either in minor units, or as an amount the way shops write it: `19.99`. Without a currency
    it is that of the channel."""

    to: Literal["price"]
    external_id: Source
    external_sku: Source | None = None
    place: Source | None = None
    price_minor: Source | None = None
    amount: Source | None = None
    currency: Source | None = None


class OfferMapIn(Strict):
    """A listing by the names it has at the channel.

    external_sku  what is matched with items of ours
    is_active     whether it can be bought there
    """

    to: Literal["offer"]
    external_id: Source
    external_sku: Source | None = None
    name: Source | None = None
    is_active: Source | None = None


class SaleMapIn(Strict):
    """Units that were sold over a counter."""

    to: Literal["sale"]
    external_id: Source
    external_sku: Source
    quantity: Source
    at: Source
    place: Source | None = None


class PaymentMapIn(Strict):
    """An amount that a payment provider holds, or held; money is minor units.

    status  authorised, captured, voided, declined or pending
    """

    to: Literal["payment"]
    id: Source
    status: Source
    amount_minor: Source
    capturable_minor: Source | None = None
    captured_minor: Source | None = None
    refunded_minor: Source | None = None
    expires_at: Source | None = None
    is_disputed: Source | None = None
    charged_back_minor: Annotated[
        Source | None, Field(description="taken back by the bank, while it is disputed and when that is lost")
    ] = None
    fee_minor: Annotated[Source | None, Field(description="of the provider, in the payment's currency")] = None
    currency: Source | None = None


Map = Annotated[OrderMapIn | LevelMapIn | PriceMapIn | OfferMapIn | SaleMapIn | PaymentMapIn, Field(discriminator="to")]


# What the channel sends us --------------------------------------------------------------------------------------------


class HmacIn(Strict):
    """A digest of the body, as it came, in a header. over: what is signed; the URL is that which it calls."""

    scheme: Literal["hmac"]
    digest: Literal["sha256", "sha1"] = "sha256"
    encoding: Literal["base64", "hex"] = "base64"
    over: Literal["body", "url_body", "timestamp_body"] = "body"
    header: Text
    prefix: str = ""
    timestamp_header: Text | None = None
    tolerance_s: Annotated[int, Field(ge=1, le=86_400)] = 300
    secret: Blanks


class StandardIn(Strict):
    """Standard Webhooks (standardwebhooks.com)."""

    scheme: Literal["standard_webhooks"]
    secret: Blanks


class SharedIn(Strict):
    """A secret word in a header."""

    scheme: Literal["shared"]
    header: Text
    secret: Blanks


class StampedIn(Strict):
    """A digest of moment and body, as hex, in one header with the moment: `t=1492774577,v1=5257a869`. Of several
    digests, which there are while a secret is exchanged, one has to fit.

    moment, digest  what the parts are called
    """

    scheme: Literal["stamped"]
    header: Text
    moment: Text = "t"
    digest: Text = "v1"
    tolerance_s: Annotated[int, Field(ge=1, le=86_400)] = 300
    secret: Blanks


class QueueIn(Strict):
    """Messages lie in a queue of ours, and are fetched: who may read it is the proof. None comes by HTTP."""

    scheme: Literal["queue"]


Signature = Annotated[HmacIn | StandardIn | SharedIn | StampedIn, Field(discriminator="scheme")]
Verification = Annotated[HmacIn | StandardIn | SharedIn | StampedIn | QueueIn, Field(discriminator="scheme")]


class HandshakeIn(Strict):
    """A request that only asks whether we are there: answered, whatever its signature."""

    when: Condition
    status: Annotated[int, Field(ge=200, le=299)] = 200


class FromIn(Strict):
    """A text that comes in a header, or in the body."""

    header: Text | None = None
    path: JmesPath | None = None


class TopicIn(Strict):
    """What a message is about. Its records are read by a map; or it is only a hint, and what `get` reads counts.

    payments.get  is read by whoever looks after the payment, when nothing is under way for it
    """

    records: JmesPath = "@"
    map: Slug | None = None
    get: Literal["orders.get", "payments.get"] | None = None
    id: JmesPath | None = None


class WebhooksIn(Strict):
    """Messages of the channel to us.

    verify     how a message is known to be the channel's own
    handshake  a request that is only a test
    topic      where a message says what it is about
    dedupe     where it has a name by which a repeat is known
    topics     what is read of each; others are left alone
    """

    verify: Verification
    handshake: HandshakeIn | None = None
    topic: FromIn
    dedupe: FromIn
    topics: Annotated[dict[Text, TopicIn], Field(min_length=1, max_length=200)]


# The document ---------------------------------------------------------------------------------------------------------

_EXAMPLE: dict[str, Any] = {
    "connector": "corner_shop",
    "title": "Corner Shop",
    "settings": {"url": {"type": "url", "description": "of the shop"}},
    "credentials": {"token": {"description": "of its administration"}},
    "base_url": "{settings.url}/api",
    "auth": {"type": "bearer", "token": "{credentials.token}"},
    "operations": {
        "stock.push": {
            "request": {"method": "PUT", "path": "/items/{external_id}/stock", "json": {"units": "{quantity}"}},
            "write": {"guard": "none"},
        }
    },
}


class ConnectorIn(Strict):
    """How a kind of channel is talked to.

    connector    its name, which channels are set up with
    vocabulary   version of these words
    title, description  for people who choose among connectors
    status       as far as `onhand channel kit` has found it earned
    vendor_api   version of the channel's interface that it is written for
    settings, credentials  what the operator fills in; known as `{settings.x}`, `{credentials.x}`
    base_url     what paths of requests are appended to
    auth         how requests are let in
    headers      of every request
    limits       how fast the account may be asked
    plans        limits of the vendor's operations apart, by name
    errors       what answers mean; the first that holds
    operations   what can be done, and how
    maps         how records are read, by name
    webhooks     messages that the channel sends
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]}, title="connector.yaml")

    connector: Slug
    vocabulary: Literal[1] = VERSION
    title: Text
    description: Annotated[str, Field(max_length=2_000)] = ""
    status: Literal["alpha", "beta", "stable"] = "alpha"
    vendor_api: str = ""
    contract: ContractIn | None = None
    settings: Annotated[dict[Slug, SettingIn], Field(max_length=50)] = {}
    credentials: Annotated[dict[Slug, CredentialIn], Field(max_length=20)] = {}
    base_url: Blanks
    auth: Auth = NoAuthIn(type="none")
    headers: dict[Text, Blanks] = {}
    limits: LimitsIn = LimitsIn()
    plans: Annotated[dict[Text, PlanIn], Field(max_length=200)] = {}
    errors: Annotated[list[ErrorIn], Field(max_length=50)] = []
    operations: Annotated[dict[Capability, Operation], Field(min_length=1)]
    maps: Annotated[dict[Slug, Map], Field(max_length=20)] = {}
    webhooks: WebhooksIn | None = None


def schema() -> dict[str, Any]:
    """JSON Schema of a `connector.yaml`, for editors."""
    found = ConnectorIn.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | found
