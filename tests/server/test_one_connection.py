"""Many requests on one connection: in turn, mixed with other routes, and pipelined."""

import asyncio
import json

from standfast.lab import Fault
from standfast.server.auth import Callers
from support.chat import CHAT_PATH, SOON, answer_of, at_rest, chat, entries, error_of, errors_in, finished, run, until
from support.http import Response, read_response, request_bytes
from support.stack import Stack, stack


async def in_turn(s: Stack, *requests: bytes) -> list[Response]:
    """Each request after the answer to the one before, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
    answers = []
    for request in requests:
        writer.write(request)
        answers.append(await read_response(reader))
    writer.close()
    await writer.wait_closed()
    return answers


def test_a_connection_serves_on_after_every_kind_of_answer() -> None:
    """G1: whole answers, streams, errors, broken streams and refusals in turn: each is complete and apart."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, defaults={"retry": SOON}) as s:
            faults = ["", "status=400", "cut_after_chunks=2", "error_event_after_chunks=1", "reset", ""]
            bodies = [
                chat(f"openai/gpt-4.1!{fault}" if fault else "m", stream=stream, prompt=f"n{n}")
                for n in range(3)
                for fault in faults
                for stream in (False, True)
            ]
            answers = await in_turn(s, *(request_bytes(CHAT_PATH, body) for body in bodies))
            for body, answer in zip(bodies, answers, strict=True):
                assert answer.complete
                prompt = body["messages"][0]["content"]  # type: ignore[index]  # as made above
                if finished(answer):
                    assert answer.text == answer_of("gpt-4.1", prompt)
                elif answer.status == 200:
                    assert len(errors_in(answer)) == 1
                else:
                    assert error_of(answer)["message"]
            assert sum(finished(answer) for answer in answers) >= 12
            assert len(s.recorder.records) == len(bodies)
            await until(lambda: at_rest(s))

    run(scenario)


def test_other_routes_in_between() -> None:
    """Requests of the data plane and of the control plane share a connection."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            health = request_bytes("/health", method="GET")
            talk = request_bytes(CHAT_PATH, chat())
            stream = request_bytes(CHAT_PATH, chat(stream=True))
            answers = await in_turn(s, talk, health, stream, health, health, talk)
            assert [answer.status for answer in answers] == [200] * 6
            assert [finished(answers[n]) for n in (0, 2, 5)] == [True] * 3
            assert answers[1].json()["status"] == "healthy"

    run(scenario)


def test_pipelined_requests_are_answered_in_their_order() -> None:
    """E7: several requests in one segment: each is answered, in order, whichever plane it belongs to."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(delay=0.02, every=2))
            health = request_bytes("/health", method="GET")
            asked = [request_bytes(CHAT_PATH, chat(prompt=f"n{n}", stream=n % 2 == 0)) for n in range(4)]
            simple = request_bytes("/chat", {"prompt": "simple"})
            broken = request_bytes(CHAT_PATH, chat("nobody"))
            reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
            writer.write(b"".join((asked[0], asked[1], health, asked[2], simple, broken, health, asked[3])))
            answers = [await read_response(reader) for _ in range(8)]
            writer.close()
            await writer.wait_closed()
            assert [answer.status for answer in answers] == [200, 200, 200, 200, 200, 404, 200, 200]
            for at, n in ((0, 0), (1, 1), (3, 2), (7, 3)):
                assert finished(answers[at])
                assert answers[at].text == answer_of("gpt-4.1", f"n{n}")
            assert answers[4].json()["content"] == answer_of("gpt-4.1", "simple")
            await until(lambda: at_rest(s))

    run(scenario)


def test_a_client_that_leaves_behind_a_handover_is_noticed() -> None:
    """C10: also a request that came pipelined behind one of another plane is cancelled with its client."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(hang=True))
            reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
            health = request_bytes("/health", method="GET")
            writer.write(health + request_bytes(CHAT_PATH, chat(stream=True)))
            assert (await read_response(reader)).status == 200
            await until(lambda: entries(s))
            writer.transport.abort()
            await until(lambda: entries(s)[0].peer_closed)
            await until(lambda: at_rest(s))

    run(scenario)


def test_a_body_that_is_no_request_is_refused() -> None:
    """E4: what is no JSON object with model and messages is 400 in OpenAI's shape, and nothing is sent."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            bodies = [b"", b"{", b"[]", b"null", b'{"model":"m"}', b'{"model":"m","messages":[]}', b'{"messages":[{}]}']
            bodies += [json.dumps({**chat(), "stream": "yes"}).encode(), b"[" * 100_000, b'{"model":"m\xff"}']
            answers = await in_turn(s, *(request_bytes(CHAT_PATH, body) for body in bodies))
            assert {answer.status for answer in answers} == {400}
            assert {error_of(answer)["type"] for answer in answers} == {"invalid_request_error"}
            assert not entries(s)

    run(scenario)


def test_a_key_that_is_taken_away_is_refused_on_its_connection() -> None:
    """F13: what was found out about a head holds as long as the client keys do, and no longer."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, keys=(("dev", "first-key-000000"),)) as s:
            reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
            request = request_bytes(CHAT_PATH, chat(), headers={"authorization": "Bearer first-key-000000"})
            statuses = []
            for keys in ((), (), ("first-key-000000",), ("other-key-000000",), ("first-key-000000",)):
                if keys:
                    s.plane.callers = Callers(("dev", key) for key in keys)
                writer.write(request)
                statuses.append((await read_response(reader)).status)
            writer.close()
            await writer.wait_closed()
            assert statuses == [200, 200, 200, 401, 200]
            assert [record.caller for record in s.recorder.records] == ["dev"] * 4

    run(scenario)


def test_controls_of_a_repeated_head_are_its_own() -> None:
    """Two heads that differ in a control alone are two heads; the same one again means the same again."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            heads = [{"x-standfast-session": name} for name in ("a", "a", "b", "b", "a")]
            await in_turn(s, *(request_bytes(CHAT_PATH, chat(), headers=head) for head in heads))
            assert [record.session for record in s.recorder.records] == ["a", "a", "b", "b", "a"]

    run(scenario)
