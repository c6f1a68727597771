"""Every documented operation of ledger and custody has a verb in the SDK that says and understands what the
document says: parameters, bodies, idempotency keys, answers."""

import re
import types
import typing
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, NoReturn

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agio_sdk import Agio, Listing, NewJournal, NewLeg, To, TypedCode, Wanted
from agio_sdk.policy_models import ChangeControl, PolicyDocument

Json = dict[str, Any]
TAGS: Final = {"Ledger", "Custody", "Reconciliation", "Statements"}
NOW: Final = datetime(2026, 3, 2, tzinfo=UTC)
LEGS: Final = [NewLeg("a:USD", "-1.00", expected_version=1), NewLeg("b:USD", "1.00")]
WANTED: Final = Wanted("sub_1", To("destination", "dst_1"), "1.00", "invoice")
DOCUMENT: Final = PolicyDocument({"all": ["key_1"]}, [], ChangeControl("all", 1, 0))

VERBS: Final[list[Callable[[Agio], Awaitable[object] | Listing[Any]]]] = [
    lambda agio: agio.accounts(),
    lambda agio: agio.account("acc_1"),
    lambda agio: agio.open_account("Main"),
    lambda agio: agio.balances("acc_1"),
    lambda agio: agio.account_entries("acc_1", asset="USD", page_size=10),
    lambda agio: agio.deposit("acc_1", "USD", "1.00", reference="salary"),
    lambda agio: agio.withdraw("acc_1", "USD", "1.00"),
    lambda agio: agio.transfers("acc_1", page_size=10),
    lambda agio: agio.transfer("trf_1"),
    lambda agio: agio.ledger.post(LEGS, reference="r", metadata={"a": "b"}, booking_date=NOW.date()),
    lambda agio: agio.ledger.post_batch([NewJournal(LEGS, releases=["hld_1"])], "each"),
    lambda agio: agio.ledger.reverse("jnl_1", reference="r"),
    lambda agio: agio.ledger.journal("jnl_1"),
    lambda agio: agio.ledger.journals("trf_1", page_size=10),
    lambda agio: agio.ledger.head(),
    lambda agio: agio.ledger.accounts.list(owner="org_1", code="1000", page_size=10),
    lambda agio: agio.ledger.accounts.get("org_1:fees:USD"),
    lambda agio: agio.ledger.accounts.open("cash", "USD", flags=["debits_must_not_exceed_credits"], code="1"),
    lambda agio: agio.ledger.accounts.freeze("a:USD", expected_version=1),
    lambda agio: agio.ledger.accounts.unfreeze("a:USD"),
    lambda agio: agio.ledger.accounts.close("a:USD"),
    lambda agio: agio.ledger.accounts.set_minimum_balance("a:USD", "1.00", expected_version=1),
    lambda agio: agio.ledger.accounts.balance("a:USD", NOW),
    lambda agio: agio.ledger.accounts.entries("a:USD", start=NOW, end=NOW, reference="r", journal_id="j"),
    lambda agio: agio.ledger.accounts.verify("a:USD"),
    lambda agio: agio.ledger.holds.list("a:USD", page_size=10),
    lambda agio: agio.ledger.holds.get("hld_1"),
    lambda agio: agio.ledger.holds.place("a:USD", 1, expires_at=NOW, reference="r"),
    lambda agio: agio.ledger.holds.capture("hld_1", "b:USD", "1.00", is_final=True, metadata={"a": "b"}),
    lambda agio: agio.ledger.holds.release("hld_1"),
    lambda agio: agio.custody.vaults.list(page_size=10),
    lambda agio: agio.custody.vaults.get("vlt_1"),
    lambda agio: agio.custody.vaults.open("Treasury"),
    lambda agio: agio.custody.vaults.sub_accounts("vlt_1"),
    lambda agio: agio.custody.vaults.open_sub_account("vlt_1", "USD", "cold"),
    lambda agio: agio.custody.vaults.deposit("vlt_1", "sub_1", "1.00"),
    lambda agio: agio.custody.vaults.statement("vlt_1", "sub_1", NOW, NOW),
    lambda agio: agio.custody.requests.list(status="held", vault_id="vlt_1", page_size=10),
    lambda agio: agio.custody.requests.get("trq_1"),
    lambda agio: agio.custody.requests.create(WANTED),
    lambda agio: agio.custody.requests.change("trq_1", amount=2, target=WANTED.target, reference="r"),
    lambda agio: agio.custody.requests.approve(Anything(), TypedCode("crd_1", "123456")),
    lambda agio: agio.custody.requests.approvals("trq_1"),
    lambda agio: agio.custody.requests.reject("trq_1", "no"),
    lambda agio: agio.custody.requests.cancel("trq_1", "no"),
    lambda agio: agio.custody.requests.release("trq_1"),
    lambda agio: agio.custody.requests.settle("trq_1", "E2E-1"),
    lambda agio: agio.custody.requests.fail("trq_1", "no"),
    lambda agio: agio.custody.requests.history("trq_1"),
    lambda agio: agio.custody.policy.in_force(),
    lambda agio: agio.custody.policy.drafts(page_size=10),
    lambda agio: agio.custody.policy.get("pol_1"),
    lambda agio: agio.custody.policy.draft(DOCUMENT),
    lambda agio: agio.custody.policy.approve(Anything(), TypedCode("crd_1", "123456")),
    lambda agio: agio.custody.policy.activate("pol_1"),
    lambda agio: agio.custody.policy.discard("pol_1"),
    lambda agio: agio.custody.policy.dry_run(WANTED, policy_id="pol_1", initiator="key_1"),
    lambda agio: agio.custody.destinations.list(page_size=10),
    lambda agio: agio.custody.destinations.get("dst_1"),
    lambda agio: agio.custody.destinations.add("iban", "Supplier", "CH93", bic="POFICHBEXXX"),
    lambda agio: agio.custody.destinations.revoke("dst_1"),
    lambda agio: agio.custody.credentials.list(),
    lambda agio: agio.custody.credentials.register_key(Ed25519PrivateKey.generate()),
    lambda agio: agio.custody.credentials.register_generator(),
    lambda agio: agio.custody.credentials.confirm("crd_1", "123456"),
    lambda agio: agio.custody.credentials.revoke("crd_1"),
    lambda agio: agio.custody.freezes.list(page_size=10),
    lambda agio: agio.custody.freezes.get("frz_1"),
    lambda agio: agio.custody.freezes.place("vault", "stolen", "vlt_1"),
    lambda agio: agio.custody.freezes.lift("frz_1"),
    lambda agio: agio.custody.signer(),
    lambda agio: agio.statements.get("acc_1", NOW, NOW, "USD"),
    lambda agio: agio.reconciliation.import_statement("acc_1", "bank", NOW, "asset,quantity\n"),
    lambda agio: agio.reconciliation.statements("acc_1"),
    lambda agio: agio.reconciliation.statement("xst_1"),
    lambda agio: agio.reconciliation.breaks("acc_1", page_size=10),
    lambda agio: agio.reconciliation.get("brk_1"),
    lambda agio: agio.reconciliation.explain("brk_1", "late"),
    lambda agio: agio.reconciliation.resolve("brk_1", "arrived"),
]
"""Every verb once, with everything that it takes."""


class Anything:
    """Stands for a request or a policy whose digest is not looked at."""

    request_id = "trq_1"
    policy_id = "pol_1"


class Call(NamedTuple):
    """A request that was not sent."""

    method: str
    path: str
    kind: Any
    query: Mapping[str, object]
    body: Json | None
    idempotency_key: str | None


class NotSent(Exception):
    """Every request ends here."""


class Recorder(Agio):
    """A client that writes down what it would send."""

    def __init__(self) -> None:
        super().__init__("https://nowhere.invalid", "agio_sandbox_none")
        self.calls: list[Call] = []

    async def request(self, method: str, path: str, kind: Any, **options: Any) -> NoReturn:
        text = msgspec.json.encode(options.get("body"))
        query = {name: value for name, value in (options.get("query") or {}).items() if value is not None}
        key = options.get("idempotency_key")
        self.calls.append(Call(method, path, kind, query, msgspec.json.decode(text), key))
        raise NotSent

    async def get(self, path: str, kind: Any, query: Any = None) -> Any:
        if path == "/api/me":
            values = ("key_1", "org_1", "sandbox", [], NOW)
            return kind(*values)
        return await self.request("GET", path, kind, query=query)


@pytest.fixture
async def document(agio: Agio) -> Json:
    return await agio.get("/openapi.json", Json)


@pytest.fixture
async def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    monkeypatch.setattr("agio_sdk.transfer_requests.check_request", lambda *_: "00" * 32)
    monkeypatch.setattr("agio_sdk.custody.check_policy", lambda *_: "00" * 32)
    recorder = Recorder()
    for verb in VERBS:
        wanted = verb(recorder)
        with pytest.raises(NotSent):
            await (wanted.page() if isinstance(wanted, Listing) else wanted)
    return recorder.calls


async def test_the_sdk_says_and_understands_what_the_document_says(document: Json, calls: list[Call]) -> None:
    operations = {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if TAGS & set(operation.get("tags", ()))
    }
    unknown, faults, used = [], [], set()
    for call in calls:
        found = [key for key in operations if key[0] == call.method and is_at(key[1], call.path)]
        # A fixed path wins over one with a parameter.
        found.sort(key=lambda key: key[1].count("{"))
        if not found:
            unknown.append(f"{call.method} {call.path}")
            continue
        used.add(found[0])
        faults += [f"{found[0]}: {fault}" for fault in Reading(document).faults(operations[found[0]], call)]

    assert unknown == []
    assert faults == []
    assert sorted(set(operations) - used) == []


def is_at(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path) is not None


class Reading:
    """Compares a call with its operation."""

    def __init__(self, document: Json) -> None:
        self._document = document

    def faults(self, operation: Json, call: Call) -> list[str]:
        named = {(one["in"], one["name"]) for one in operation.get("parameters", [])}
        faults = [f"no query parameter {name}" for name in call.query if ("query", name) not in named]
        if (("header", "Idempotency-Key") in named) != (call.idempotency_key is not None):
            faults.append("an idempotency key is sent where the operation takes one, and only there")
        content = operation.get("requestBody", {}).get("content", {})
        if call.body is not None:
            faults += self._members(call.body, self._resolve(content["application/json"]["schema"]), "body")
        elif operation.get("requestBody", {}).get("required"):
            faults.append("a body is needed")
        answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        schema = answers[0]["content"].get("application/json", {}).get("schema", {})
        return faults + self._fields(call.kind, schema, "answer")

    def _members(self, body: Json, schema: Json, place: str) -> list[str]:
        known = schema.get("properties", {})
        faults = [f"{place}: no member {name}" for name in body if name not in known]
        faults += [f"{place}: {name} is needed" for name in schema.get("required", ()) if name not in body]
        for name in body.keys() & known.keys():
            if isinstance(body[name], dict):
                inner = self._resolve(known[name])
                if "properties" in inner:
                    faults += self._members(body[name], inner, f"{place}.{name}")
        return faults

    def _fields(self, kind: Any, schema: Json, place: str) -> list[str]:
        schema = self._resolve(schema)
        arguments = [one for one in typing.get_args(kind) if one is not types.NoneType]
        if typing.get_origin(kind) in {types.UnionType, typing.Union}:
            return self._fields(arguments[0], schema, place)
        if typing.get_origin(kind) is list:
            return self._fields(arguments[0], schema.get("items", {}), place)
        if typing.get_origin(kind) is Literal:
            missing = {one for one in schema.get("enum", ()) if one is not None} - set(arguments)
            return [f"{place}: the values {sorted(missing)} are not known"] if missing else []
        if not hasattr(typing.get_origin(kind) or kind, "__struct_fields__"):
            return []
        known = schema.get("properties")
        if known is None:
            return []
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        faults = [f"{place}: {name} is left out" for name in known.keys() - fields.keys()]
        faults += [f"{place}: no field {name}" for name in fields.keys() - known.keys()]
        for name in fields.keys() & known.keys():
            faults += self._fields(fields[name], known[name], f"{place}.{name}")
        return faults

    def _resolve(self, schema: Json) -> Json:
        """The schema itself, without references and without the possibility of null."""
        while True:
            if "$ref" in schema:
                schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
                continue
            choices = [
                one for one in schema.get("oneOf", schema.get("anyOf", [])) if one.get("type") != "null"
            ]
            if len(choices) != 1:
                return schema
            schema = choices[0]
