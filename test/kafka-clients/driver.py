# Drives Debian's kafka-python. Each line of standard input is a JSON object: an operation, its arguments, and an id for the
# response. Members of a group print what they read without a request. Bytes are base64.
import base64
import json
import queue
import sys
import threading

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import codec as codecs
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

POLL_MS = 100


def encoded(data):
    return None if data is None else base64.b64encode(data).decode()


def decoded(text):
    return None if text is None else base64.b64decode(text)


def shown(record):
    return {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": encoded(record.key),
        "value": encoded(record.value),
        "headers": [[name, encoded(value)] for name, value in record.headers],
    }


def by_partition(values):
    """Of one topic, with the partitions as JSON has them."""
    return {str(place.partition): value for place, value in values.items()}


class Token:
    """What kafka-python asks for a token."""

    def __init__(self, text):
        self.text = text

    def token(self):
        return self.text


class Driver:
    def __init__(self, brokers, settings):
        self.settings = {"bootstrap_servers": brokers.split(","), **settings}
        if "sasl_oauth_token_provider" in settings:
            token = Token(settings["sasl_oauth_token_provider"])
            self.settings["sasl_oauth_token_provider"] = token
        self.admin_client = None
        self.consumer = None
        self.is_member = False

    @property
    def admin(self):
        if self.admin_client is None:
            self.admin_client = KafkaAdminClient(**self.settings)
        return self.admin_client

    def places(self, topic, partitions):
        return [TopicPartition(topic, partition) for partition in partitions]

    # On request.

    def create_topic(self, topic, partitions, config):
        self.admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])

    def create_partitions(self, topic, count):
        self.admin.create_partitions({topic: NewPartitions(count)})

    def list_topics(self):
        return self.admin.list_topics()

    def describe_topic(self, topic):
        return self.admin.describe_topics([topic])[0]

    def describe_config(self, topic):
        answers = self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {entry[0]: entry[1] for answer in answers for entry in answer.resources[0][4]}

    def alter_config(self, topic, config):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)
        resources = self.admin.alter_configs([resource]).resources
        return [error_code for error_code, *_ in resources]

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])

    def list_groups(self):
        return self.admin.list_consumer_groups()

    def describe_group(self, group_id):
        group = self.admin.describe_consumer_groups([group_id])[0]
        members = [
            {
                "clientId": member.client_id,
                "assignment": [list(each) for each in member.member_assignment.assignment],
            }
            for member in group.members
        ]
        return {"state": group.state, "protocol": group.protocol, "members": members}

    def group_offsets(self, group_id):
        offsets = self.admin.list_consumer_group_offsets(group_id)
        return by_partition({place: value.offset for place, value in offsets.items()})

    def delete_group(self, group_id):
        return [error.__name__ for _, error in self.admin.delete_consumer_groups([group_id])]

    def send(self, topic, records, codec):
        compression = None if codec == "none" else codec
        producer = KafkaProducer(
            acks="all", compression_type=compression, linger_ms=20, **self.settings
        )
        sent = [
            producer.send(
                topic,
                key=decoded(record["key"]),
                value=decoded(record["value"]),
                headers=[(name, decoded(value)) for name, value in record["headers"]],
                partition=record["partition"],
                timestamp_ms=record["timestamp"],
            )
            for record in records
        ]
        stored = [future.get(timeout=30) for future in sent]
        producer.close()
        return [[each.partition, each.offset] for each in stored]

    def open(self, group_id=None, settings={}):
        self.consumer = KafkaConsumer(
            group_id=group_id,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=200,
            **self.settings,
            **settings
        )

    def join(self, group_id, topic, settings):
        self.open(group_id, settings)
        self.consumer.subscribe([topic])
        self.is_member = True

    def assign(self, topic, partitions):
        self.consumer.assign(self.places(topic, partitions))

    def seek(self, topic, partition, offset):
        self.consumer.seek(TopicPartition(topic, partition), offset)

    def seek_to_end(self):
        self.consumer.seek_to_end()

    def position(self, topic, partition):
        return self.consumer.position(TopicPartition(topic, partition))

    def read(self, count):
        """So many records, at least: a poll gives what has come."""
        records = []
        while len(records) < count:
            records += self.poll()
        return records

    def commit(self):
        self.consumer.commit()

    def committed(self, topic, partition):
        return self.consumer.committed(TopicPartition(topic, partition))

    def beginning_offsets(self, topic, partitions):
        return by_partition(self.consumer.beginning_offsets(self.places(topic, partitions)))

    def end_offsets(self, topic, partitions):
        return by_partition(self.consumer.end_offsets(self.places(topic, partitions)))

    def offsets_for_times(self, topic, times):
        asked = {TopicPartition(topic, int(each)): time for each, time in times.items()}
        return by_partition(self.consumer.offsets_for_times(asked))

    def close(self):
        if self.consumer is not None:
            self.consumer.close()
        if self.admin_client is not None:
            self.admin_client.close()

    # By itself.

    def poll(self):
        polled = self.consumer.poll(timeout_ms=POLL_MS)
        return [shown(record) for records in polled.values() for record in records]

    def answer(self, id, op, args):
        try:
            return {"id": id, "result": getattr(self, op)(**args)}
        except Exception as error:
            return {"id": id, "error": type(error).__name__ + ": " + str(error)}


def read_lines(lines):
    for line in sys.stdin:
        lines.put(json.loads(line))
    lines.put(None)


def say(what):
    print(json.dumps(what), flush=True)


def main():
    lines = queue.Queue()
    threading.Thread(target=read_lines, args=(lines,), daemon=True).start()
    driver = Driver(sys.argv[1], json.loads(sys.argv[2]))
    while True:
        try:
            # A member only checks for a request: it must go on polling.
            asked = lines.get(block=not driver.is_member)
        except queue.Empty:
            records = driver.poll()
            if records:
                say({"records": records})
            continue
        if asked is None:
            return
        say(driver.answer(**asked))
        if asked["op"] == "close":
            return


def known_codecs():
    known = {name: getattr(codecs, "has_" + name)() for name in ("gzip", "snappy", "lz4", "zstd")}
    return ["none"] + [name for name, is_known in known.items() if is_known]


if sys.argv[1] == "--codecs":
    say(known_codecs())
else:
    main()
