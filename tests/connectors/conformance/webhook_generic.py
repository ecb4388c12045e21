"""A shop that sends and takes messages on the bench, in this process."""

from .rest_generic import GenericBench


class MessagesBench(GenericBench):
    def account(self):
        credentials = {"secret": self.shop.secret, "webhook_secret": self.shop.hook_secret}
        return {"url": "http://shop.test/hook"}, credentials


make = MessagesBench
