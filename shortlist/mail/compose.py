"""A recipient and their list in, the message that is sent and previewed out. The only maker of messages."""

import hashlib
from datetime import datetime
from functools import partial
from typing import Final

from shortlist.config import Campaign, Mail
from shortlist.contracts.lists import ListedItem, Recipient
from shortlist.errors import ContractError, MessageRejectedError
from shortlist.mail.address import address_hash, normalised
from shortlist.mail.experiment import VARIANTS, mail_of, variant_of
from shortlist.mail.links import endpoint, https_url, tagged
from shortlist.mail.message import CLIP_BYTES, Envelope, mailbox, mime
from shortlist.mail.not_interested import item_query
from shortlist.mail.prices import currency_code, price_text
from shortlist.mail.reasons import phrase
from shortlist.mail.render import SUBJECT_LIMIT, Card, Page, render, render_subject
from shortlist.mail.tags import tags, test_tags
from shortlist.mail.text import line
from shortlist.mail.token import Keys, Subscription, sign
from shortlist.mail.words import Words, language_of, words
from shortlist.ports import OutgoingMessage

TEST_MARK: Final = "[Test] "


class Composer:
    """Makes the messages of one run; where the campaign makes an experiment, each user's variant.

    Args:
        campaign: as the run resolved it.
        run_id: of the run.
        as_of: the run's pinned moment; the Date of every message, so that composing again gives the same bytes.
        unsubscribe_url: address of the endpoint.
        keys: that sign the recipients' tokens.
        test: make messages to a seed list: marked in the subject, and tagged with no run.

    Raises:
        ContractError: the campaign mails nobody, or its sender or the endpoint is no address.
    """

    def __init__(
        self,
        campaign: Campaign,
        *,
        run_id: str,
        as_of: datetime,
        unsubscribe_url: str,
        keys: Keys,
        test: bool = False,
    ) -> None:
        if campaign.mail is None:
            raise ContractError(f"campaign {campaign.name} has no `mail`, so there is no message to compose.")
        self.mail: Mail = campaign.mail
        self._campaign = campaign.name
        self._variants = {variant: mail_of(campaign.mail, variant) for variant in VARIANTS}
        self._variant_of = partial(variant_of, campaign)
        self._wording = campaign.wording
        self._run_id = run_id
        self._as_of = as_of
        self._endpoint = endpoint(unsubscribe_url)
        self._keys = keys
        self._test = test
        self._sender = _own_address("mail.sender", campaign.mail.sender)
        self._reply_to = _own_address("mail.reply_to", campaign.mail.reply_to) if campaign.mail.reply_to else ""

    def compose(self, recipient: Recipient, items: tuple[ListedItem, ...]) -> OutgoingMessage:
        """The message for `recipient` with the first `mail.items` of `items`.

        Items are left off at the end where the message would pass the size at which mail clients cut it off.

        Raises:
            MessageRejectedError: the recipient's address cannot be mailed.
            ContractError: with one item the message still passes that size.
        """
        address = normalised(recipient.email)
        language = language_of(recipient.locale, self.mail.default_locale)
        mail = self._variants[self._variant_of(recipient.user_id)]
        subscription = Subscription(self._campaign, recipient.user_id, address_hash(address), self._run_id)
        token = sign(subscription, self._keys)
        link = f"{self._endpoint}?t={token}&l={language}"
        cards = tuple(
            self._card(item, recipient.locale, f"{link}&{item_query(token, item.item_id, self._keys)}")
            for item in items[: mail.items]
        )
        while True:
            page = self._page(mail, recipient, cards, language, link)
            body = render(mail.template, page)
            raw = mime(self._envelope(recipient, address, page), body)
            if len(raw) <= CLIP_BYTES:
                break
            if len(cards) <= 1:
                raise ContractError(
                    f"template {mail.template}: a message with one item has {len(raw) // 1024} KB; mail clients "
                    f"cut off what is over {CLIP_BYTES // 1024}. Make the template smaller."
                )
            cards = cards[: max(1, min(len(cards) - 1, len(cards) * CLIP_BYTES // len(raw)))]
        return OutgoingMessage(
            sender=mailbox(self.mail.sender_name, self._sender).replace("\r\n", ""),
            recipient=address,
            mime=raw,
            tags=self._tags(recipient.user_id),
        )

    def _tags(self, user_id: str) -> dict[str, str]:
        return test_tags(self._campaign) if self._test else tags(self._campaign, self._run_id, user_id)

    def _card(self, item: ListedItem, locale: str, not_for_me: str) -> Card:
        mail = self.mail
        currency = currency_code(item.currency, mail.currency)
        return Card(
            title=line(item.title) or line(item.item_id),
            reason=phrase(item.reason, language_of(locale, mail.default_locale), self._wording),
            price=price_text(item.price, currency, locale, mail.default_locale),
            link=tagged(
                item.url or mail.shop_url, campaign=self._campaign, run_id=self._run_id, item_id=line(item.item_id)
            ),
            picture=https_url(item.image_url),
            not_for_me=not_for_me,
        )

    def _page(self, mail: Mail, recipient: Recipient, cards: tuple[Card, ...], language: str, link: str) -> Page:
        said = words(language)
        first_name = line(recipient.first_name, 40)
        shop = line(mail.shop_name or mail.sender_name) or self._sender.partition("@")[2]
        message = said.message
        return Page(
            language=language,
            said=said,
            subject=_subject(mail, first_name, cards, language, said),
            preheader=message.preheader.of(len(cards)).format(first_item=cards[0].title if cards else shop),
            shop=shop,
            greeting=message.greeting_named.format(first_name=first_name) if first_name else message.greeting,
            why=message.why.format(shop=shop),
            visit=message.visit.format(shop=shop),
            items=cards,
            pictured=any(card.picture for card in cards),
            shop_link=tagged(mail.shop_url, campaign=self._campaign, run_id=self._run_id, item_id="shop"),
            unsubscribe_link=link,
            postal_address=line(mail.postal_address, 300),
        )

    def _envelope(self, recipient: Recipient, address: str, page: Page) -> Envelope:
        unique = hashlib.sha256(f"{self._campaign}\0{self._run_id}\0{recipient.user_id}".encode()).hexdigest()
        return Envelope(
            sender=self._sender,
            sender_name=self.mail.sender_name,
            reply_to=self._reply_to,
            recipient=address,
            subject=f"{TEST_MARK if self._test else ''}{page.subject or page.shop}",
            date=self._as_of,
            message_id=f"{unique[:32]}@{self._sender.partition('@')[2]}",
            unsubscribe_link=page.unsubscribe_link,
            feedback_id=f"{self._run_id}:{self._campaign}:picks:shortlist",
            language=page.language,
        )


def _own_address(setting: str, address: str) -> str:
    try:
        return normalised(address)
    except MessageRejectedError as error:
        raise ContractError(f"`{setting}` of the campaign is {address!r}, which is no e-mail address.") from error


def _subject(mail: Mail, first_name: str, cards: tuple[Card, ...], language: str, said: Words) -> str:
    if mail.subject:
        titles = tuple(card.title for card in cards)
        return render_subject(mail.subject, first_name=first_name, items=titles, locale=language)
    own = said.message.subject_named if first_name else said.message.subject
    return line(own.format(first_name=first_name), SUBJECT_LIMIT)
