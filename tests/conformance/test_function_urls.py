"""Lambda function URLs as AWS answers them."""

import base64
import json
import urllib.error
import urllib.request

import pytest

from tests.conformance.kit import archive, make_role

# Answers as it is told by ?answer=…, or with the event it got.
SOURCE = """
import json
def handler(event, context):
    told = (event.get("queryStringParameters") or {}).get("answer")
    if told == "raise":
        raise ValueError("told to")
    return json.loads(told) if told else {"statusCode": 200, "body": json.dumps(event)}
"""


@pytest.fixture(scope="module")
def url(aws):
    client = aws.client("lambda")
    client.create_function(
        FunctionName="web",
        Runtime="python3.13",
        Role=make_role(aws, "web"),
        Handler="index.handler",
        Code={"ZipFile": archive(index=SOURCE)},
    )
    made = client.create_function_url_config(FunctionName="web", AuthType="NONE")
    allow(client)
    return made["FunctionUrl"]


def allow(client):
    client.add_permission(
        FunctionName="web",
        StatementId="everyone",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )


def fetch(url, data=None, method=None, **headers):
    """(status, headers, body) of an answer, whatever its status."""
    request = urllib.request.Request(url, data, {k.replace("_", "-"): v for k, v in headers.items()}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read()


def event(*given, **named):
    status, _, body = fetch(*given, **named)
    assert status == 200, body
    return json.loads(body)


def told(url, answer):
    return fetch(f"{url}?answer={urllib.request.quote(json.dumps(answer))}")


def test_the_url_is_on_this_machine_and_can_be_asked_for(aws, url):
    assert url == f"{aws.endpoint}/_lambda_url/web/"
    assert aws.client("lambda").get_function_url_config(FunctionName="web")["FunctionUrl"] == url


def test_the_function_gets_method_path_and_query(url):
    got = event(f"{url}u/n%20s?t=a%2Bb&l=de&l=en&empty=", method="DELETE")

    assert got["version"] == "2.0"
    assert (got["rawPath"], got["rawQueryString"]) == ("/u/n s", "t=a%2Bb&l=de&l=en&empty=")
    assert got["queryStringParameters"] == {"t": "a+b", "l": "de,en", "empty": ""}
    http = got["requestContext"]["http"]
    assert (http["method"], http["path"], http["protocol"], http["sourceIp"]) == (
        "DELETE",
        "/u/n s",
        "HTTP/1.1",
        "127.0.0.1",
    )
    assert got["isBase64Encoded"] is False
    assert "body" not in got


def test_without_a_query_there_are_no_parameters(url):
    got = event(url)

    assert (got["rawPath"], got["rawQueryString"]) == ("/", "")
    assert "queryStringParameters" not in got
    assert "cookies" not in got


def test_headers_are_in_lower_case_and_cookies_apart(url):
    got = event(url, X_Custom="Value", Cookie="a=1; b=2", User_Agent="a mail client")

    assert got["headers"]["x-custom"] == "Value"
    assert got["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in got["headers"]
    assert got["requestContext"]["http"]["userAgent"] == "a mail client"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=utf-8"])
def test_text_comes_as_it_is(url, content_type):
    got = event(url, data="ä".encode(), Content_Type=content_type)

    assert (got["body"], got["isBase64Encoded"]) == ("ä", False)
    assert got["requestContext"]["http"]["method"] == "POST"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/octet-stream"])
def test_forms_and_bytes_come_in_base64(url, content_type):
    got = event(url, data=b"List-Unsubscribe=One-Click", Content_Type=content_type)

    assert got["isBase64Encoded"] is True
    assert base64.b64decode(got["body"]) == b"List-Unsubscribe=One-Click"


def test_status_headers_and_cookies_of_the_answer_are_passed_on(url):
    answer = {
        "statusCode": 302,
        "headers": {"Location": "about:blank", "X-Own": "1"},
        "cookies": ["a=1", "b=2; Secure"],
    }
    request = urllib.request.Request(f"{url}?answer={urllib.request.quote(json.dumps(answer))}")
    opener = urllib.request.build_opener(NoRedirect)

    with pytest.raises(urllib.error.HTTPError) as redirect, opener.open(request):
        pass

    headers = redirect.value.headers
    redirect.value.close()
    assert (redirect.value.code, headers["Location"], headers["X-Own"]) == (302, "about:blank", "1")
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2; Secure"]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def test_an_answer_without_a_content_type_is_json(url):
    status, headers, body = told(url, {"statusCode": 404, "body": "not here"})

    assert (status, headers["Content-Type"], body) == (404, "application/json", b"not here")


def test_a_body_in_base64_is_decoded(url):
    answer = {
        "statusCode": 200,
        "headers": {"content-type": "image/png"},
        "body": base64.b64encode(b"\x89PNG").decode(),
        "isBase64Encoded": True,
    }

    status, headers, body = told(url, answer)

    assert (status, headers["Content-Type"], body) == (200, "image/png", b"\x89PNG")


@pytest.mark.parametrize(("answer", "body"), [({"a": 1}, b'{"a": 1}'), ([1, 2], b"[1, 2]"), ("text", b"text")])
def test_an_answer_without_a_status_is_the_body(url, answer, body):
    status, headers, got = told(url, answer)

    assert (status, headers["Content-Type"], got) == (200, "application/json", body)


@pytest.mark.parametrize("answer", ["raise", '{"statusCode": "many"}'])
def test_a_function_that_fails_or_answers_nonsense_is_a_bad_gateway(url, answer):
    status, _, body = fetch(f"{url}?answer={urllib.request.quote(answer)}")

    assert (status, json.loads(body)) == (502, {"Message": "Internal Server Error"})


def test_a_url_is_forbidden_until_the_policy_of_the_function_allows_it(aws, url):
    client = aws.client("lambda")
    client.remove_permission(FunctionName="web", StatementId="everyone")

    status, _, _ = fetch(url)

    allow(client)
    assert status == 403
    assert fetch(url)[0] == 200


def test_a_function_without_a_url_is_not_found(aws, url):
    assert fetch(url.replace("web", "absent"))[0] == 404


@pytest.mark.parametrize("settings", [{"AuthType": "AWS_IAM"}, {"AuthType": "NONE", "Cors": {"AllowOrigins": ["*"]}}])
def test_what_is_not_emulated_is_refused_in_so_many_words(aws, url, settings):
    client = aws.client("lambda")

    with pytest.raises(client.exceptions.ClientError, match="does not implement"):
        client.create_function_url_config(FunctionName="web", **settings)
