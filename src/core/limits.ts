// Every bound of the broker, with its unit and its reason. Nothing in Rivulet grows without such a bound.

const KIB = 1024;
const MIB = 1024 * KIB;

// Memory.
/**
 * Everything counted in one isolate: half of the platform's 128 MB. The other half is for code, for allocations between
 * two counts, and for garbage that V8 has not collected yet. Each bound below covers a part of it.
 */
export const MAX_ISOLATE_BYTES = 64 * MIB;
/** A holder without activity for this long was canceled: its code does not run to its end. */
export const HOLDER_SILENT_MS = 60_000;

// Requests.
/** The body of an HTTP request, decompressed. The Worker holds the body, its parsed form and its batches in 128 MB. */
export const MAX_REQUEST_BYTES = 16 * MIB;
/**
 * The amount of an oversized body that is read and discarded, and the time for it, so that the client sees the answer.
 */
export const MAX_DISCARDED_BYTES = 256 * MIB;
export const MAX_DISCARD_MS = 10_000;
/**
 * A piece of a body of this size, or the body's end, must arrive within this time. That is two kilobytes a second, as
 * on a bad line.
 */
export const BODY_PIECE_BYTES = 64 * KIB;
export const BODY_PIECE_MS = 30_000;
/** The bodies arriving at once in one Worker: the received bytes, decompressed. Two of the largest fit. */
export const MAX_REQUEST_BYTES_IN_PROGRESS = 32 * MIB;
/** The bodies being processed at once in one Worker, with everything made from them. */
export const MAX_WORK_BYTES = 48 * MIB;
/** The most that one of them counts as, so a few small ones do not get the largest one refused. */
export const MAX_WORK_BYTES_PER_REQUEST = 18 * MIB;
/** The memory for one JSON value of a record during processing, with everything made from it. It was measured. */
export const JSON_VALUE_BYTES = 200;
/** JSON from clients: the depth of nested lists and objects. Some readers recurse at each level. */
export const MAX_JSON_DEPTH = 100;
/** Values in one JSON text. Each is an object in memory, many times its bytes. A text with records may have more. */
export const MAX_JSON_VALUES = 200_000;
export const MAX_RECORD_JSON_VALUES = 2_000_000;
/** Reads of partitions in progress in one Worker. Each counts as much as the largest recent read. */
export const MAX_READS_BYTES = 16 * MIB;
export const MIN_READ_ROOM_BYTES = 256 * KIB;
/** The longest wait of a read for its turn. */
export const MAX_READ_TURN_MS = 10_000;
/** An answer up to this size is sent at once. A larger one is sent in pieces of this size, made as the client reads. */
export const ANSWER_PIECE_BYTES = 128 * KIB;
/** The bytes of larger, unread answers in one Worker. */
export const MAX_ANSWER_BYTES_IN_PROGRESS = 32 * MIB;
/** One read asks for this fraction of the free bytes, and at least for the minimum. So many later reads find room. */
export const ANSWER_SHARES = 8;
export const MIN_ANSWER_SHARE_BYTES = 64 * KIB;
/** A client that reads nothing of its answer for this long is gone or hostile. */
export const ANSWER_STALL_MS = 30_000;
/** An answer that was not read for this long is evicted before others when memory is short. */
export const ANSWER_SLOW_MS = 100;
/** The memory for one item of a list, or for a record besides its bytes, while its answer is sent. */
export const ANSWER_ITEM_BYTES = 256;
/** The memory for the result of one produced record. It was measured. */
export const ANSWER_RESULT_BYTES = 96;
/** Records in one produce request. */
export const MAX_RECORDS_PER_REQUEST = 100_000;
/** Headers of one record. */
export const MAX_HEADERS_PER_RECORD = 100;
/** The end of the year 9999, which both Date and RecordBatch v2's deltas can represent. */
export const MAX_TIMESTAMP_MS = 253_402_300_799_999;
/** `maxBytes` of a read. It is far below the largest RPC (32 MiB). */
export const MAX_FETCH_BYTES = 8 * MIB;
export const DEFAULT_FETCH_BYTES = 1 * MIB;
/** Records in one JSON read. */
export const MAX_FETCH_RECORDS = 10_000;
export const DEFAULT_FETCH_RECORDS = 500;
/** `waitMs` of a read: how long a request may wait for records. */
export const MAX_WAIT_MS = 30_000;

/** NDJSON requests have no length limit. These bound one line, and the part that is stored or read at a time. */
export const MAX_LINE_BYTES = 4 * MIB;
export const BULK_CHUNK_BYTES = 1 * MIB;
export const BULK_CHUNK_RECORDS = 5_000;
/** The rejected records that the answer to a bulk request names. */
export const MAX_BULK_ERRORS = 100;

// Topics.
/** Kafka's own bound on names (Topic.java). */
export const MAX_TOPIC_NAME_LENGTH = 249;
/** Each partition is one object. Lag, resets and deletion visit every partition of a topic in one request. */
export const MAX_PARTITIONS_PER_TOPIC = 1_000;
export const DEFAULT_PARTITIONS = 1;
/** Topics and groups live in one ClusterObject. The cost of one does not grow with their number. */
export const MAX_TOPICS = 10_000;
export const MAX_GROUPS = 100_000;
/** Topics or groups in one answer of the cluster, and in one page of a list over HTTP. */
export const MAX_LIST_PAGE = 1_000;
export const DEFAULT_LIST_PAGE = 100;

/**
 * The time for which a deleted topic is kept where the platform stores the data, by default and at most. Its storage
 * costs money.
 */
export const DELETE_DELAY_MS = 24 * 60 * 60_000;
export const MAX_DELETE_DELAY_MS = 30 * 24 * 60 * 60_000;
/** Deleted topics that are kept. Beyond this, the one that is due first is deleted at once. */
export const MAX_DELETED_TOPICS = MAX_TOPICS;

// The log.
/**
 * Kafka's default of `max.message.bytes`, and the upper bound here. A row holds at least one batch, and has at most 2
 * MB.
 */
export const MAX_MESSAGE_BYTES = 1_048_588;
/** A chunk row holds whole batches up to this size (one batch may be as large as MAX_MESSAGE_BYTES). */
export const MAX_CHUNK_BYTES = MAX_MESSAGE_BYTES;
/** One append: the most that one atomic step may write. */
export const MAX_APPEND_BYTES = 16 * MIB;
/**
 * Appends that wait for the next group commit, at all partitions of an isolate: two of the largest. Beyond this,
 * producers are asked to slow down.
 */
export const MAX_PENDING_APPENDS_BYTES = 32 * MIB;
/**
 * `commit.linger.ms`: how long an append may wait for others to share its row. A row a second costs $2.60 a month, so
 * waiting longer saves little. A client must get its answer long before it gives up: Kafka's clients do after 30 s.
 * With five appends in flight per producer, this still allows five appends a second.
 */
export const MAX_COMMIT_LINGER_MS = 1_000;
/** An object may store 10 GB. The rest is for everything besides the log, and for operations that free space. */
export const MAX_PARTITION_BYTES = 9_500_000_000;
/**
 * The bytes that a group or the cluster stores, for the same reason. Beyond this, only operations that free space
 * continue.
 */
export const MAX_METADATA_BYTES = 9_500_000_000;
/**
 * The default of `retention.bytes`. Kafka has no bound, but its disks can be enlarged. Here a partition would take
 * appends for, say, a week and then stop. This value plus the largest segment stays below the partition's bound.
 */
export const DEFAULT_RETENTION_BYTES = 5_000_000_000;
/**
 * A segment is rolled at its config's bounds, or here. Whole segments are deleted, so this is the granularity of
 * retention.
 */
export const DEFAULT_SEGMENT_BYTES = 64 * MIB;
/** Kafka's own minimum (KIP-1030). */
export const MIN_SEGMENT_BYTES = 1 * MIB;
/**
 * Kafka's own maximum, an int. Segments are deleted whole, so a larger one could fill a partition that nothing empties.
 */
export const MAX_SEGMENT_BYTES = 2_147_483_647;
export const MAX_SEGMENT_CHUNKS = 100_000;
/** Each segment is a table, and SQLite reads the list of tables when an object wakes up. */
export const MAX_SEGMENTS = 1_000;
/**
 * The newest chunks that a PartitionObject keeps in memory for its readers: at least, and at most while readers are
 * that far behind.
 */
export const MIN_TAIL_CACHE_BYTES = 256 * KIB;
export const MAX_TAIL_CACHE_BYTES = 4 * MIB;
/** Chunks that a partition remembers as verified since it woke up. A forgotten chunk is verified again. */
export const MAX_VERIFIED_CHUNKS = 10_000;
/** The shortest time between two checks of retention (Kafka's log.retention.check.interval.ms). */
export const HOUSEKEEPING_INTERVAL_MS = 5 * 60_000;
/**
 * The wait after housekeeping has failed. It doubles each time, because a full or damaged storage may stay so, and each
 * try costs a request and a row.
 */
export const HOUSEKEEPING_RETRY_MS = 60_000;
export const MAX_HOUSEKEEPING_RETRY_MS = 60 * 60_000;

// Idempotence.
/** The batches of a producer that a partition recognizes as repeats. The number is Kafka's. */
export const PRODUCER_WINDOW = 5;
/** The largest row in an object's SQLite: the platform's bound of 2 MB. */
export const MAX_ROW_BYTES = 2_000_000;
/** The longest JSON of one append of an idempotent producer, including its comma. */
export const MAX_APPEND_ENTRY_BYTES = 92;
/**
 * Producers that a partition remembers. The one silent for longest is forgotten first. One snapshot row holds all of
 * them: 4,000 × 5 × 92 bytes are 1.84 MB, within MAX_ROW_BYTES.
 */
export const MAX_PRODUCERS_PER_PARTITION = 4_000;
/** Appends that begin in one chunk. 8,000 × 92 bytes plus MAX_CHUNK_BYTES are 1.78 MB, within MAX_ROW_BYTES. */
export const MAX_APPENDS_PER_CHUNK = 8_000;
/** A snapshot of the producers is stored after this many chunks, so waking up reads no more chunks than this. */
export const PRODUCER_SNAPSHOT_CHUNKS = 64;
/** Producer ids that a Worker keeps for its own requests, each with its sequence numbers. */
export const MAX_POOLED_PRODUCERS = 1_000;
/** Partitions whose sequence number one producer remembers. */
export const MAX_PARTITIONS_PER_PRODUCER = 1_000;
/** Attempts of one append by the Worker while the outcome of the previous attempt is unknown. */
export const MAX_APPEND_TRIES = 4;
/** `Idempotency-Key`: how long the first answer is kept, and the longest key, in characters. */
export const IDEMPOTENCY_KEY_TTL_MS = 24 * 60 * 60_000;
export const MAX_IDEMPOTENCY_KEY_LENGTH = 255;
/**
 * A partition that stores more bytes than this takes no more idempotency keys. The rest of its 10 GB keeps it running.
 */
export const MAX_BYTES_WITH_IDEMPOTENCY_KEYS = 9_800_000_000;

// Compaction.
/**
 * The keys whose newest offset one pass holds in memory, and the bytes of those keys. Later keys wait for the next
 * pass.
 */
export const MAX_COMPACTION_KEYS = 100_000;
export const MAX_COMPACTION_KEY_BYTES = 16 * MIB;
/** Bytes read in one slice of compaction. The object serves other requests between slices. */
export const COMPACTION_SLICE_BYTES = 1 * MIB;
/** Objects that decoding one batch may create. A compressed batch may contain far more of them than it has bytes. */
export const MAX_RECORDS_PER_BATCH = 250_000;
export const MAX_HEADERS_PER_BATCH = 500_000;
/** The largest decompressed batch, for code that reads its records. As JSON it may be six times as large. */
export const MAX_DECOMPRESSED_BYTES = 16 * MIB;
/** The largest decompressed size of all batches in one append or request, if their records are read. */
export const MAX_DECODED_REQUEST_BYTES = 64 * MIB;
/**
 * Records that one commit compares with stored ones, both sides decompressed. The commit blocks others during that
 * time, so a repeat beyond this bound must be sent again. A single append may take up to this much.
 */
export const MAX_COMPARED_BYTES = 64 * MIB;
/** Decompressed records of one JSON read. At least one batch is read. */
export const MAX_DECODED_FETCH_BYTES = 8 * MIB;
/**
 * Decompressed records of one partition that a consumer has delivered and that are not processed yet. Beyond this, it
 * waits.
 */
export const MAX_DECODED_IN_HAND_BYTES = 4 * MIB;
/**
 * Decompressed records that a session in the Worker holds for its client, from all partitions that the client has not
 * paused. A topic has up to 1,000 partitions.
 */
export const MAX_SESSION_IN_HAND_BYTES = 4 * MIB;
/**
 * The same for all sessions of an isolate. This includes records of paused partitions and records that clients have not
 * read.
 */
export const MAX_SESSIONS_BYTES = 24 * MIB;
/**
 * The window of a session in the Worker, shared by its partitions: at first, and at most once the client has shown that
 * it reads. The last two bound the share of one partition. One batch may exceed it.
 */
export const FIRST_SESSION_WINDOW_BYTES = 128 * KIB;
export const SESSION_WINDOW_BYTES = 1 * MIB;
export const MAX_SESSION_PARTITION_WINDOW_BYTES = 256 * KIB;
export const MIN_SESSION_PARTITION_WINDOW_BYTES = 16 * KIB;

/**
 * Groups whose newest owner a partition remembers. The bound is twice the number of readers, so there are always some
 * to forget. The groups that attached longest ago are forgotten first, several at once. No group with an attached
 * reader is forgotten, and groups that poll are forgotten last.
 */
export const MAX_FENCES_PER_PARTITION = 20_000;
export const FENCES_FORGOTTEN_AT_ONCE = 100;
/**
 * A poll is noted again when its last note is this old. A group counts as polling for that time plus one session
 * timeout.
 */
export const FENCE_REFRESH_MS = 60 * 60_000;
/**
 * Partitions that the cluster notifies when a clock was set back: the most recently written ones. Each notice is a
 * call.
 */
export const MAX_WRITERS_TOLD_OF_CLOCK = 2_000;
/**
 * The most that a group's incarnation may be ahead of the partition's clock. Beyond this, the group is asked to confirm
 * it.
 */
export const MAX_INCARNATION_AHEAD_MS = 60_000;

// Sockets to objects.
/**
 * The bytes that the client of a socket to an object may leave unread before it asks for more. It is as much as a
 * reader may leave unread of records, plus twice as much of answers. A client that is merely slow never has more.
 */
export const MAX_SOCKET_UNREAD_BYTES = 4 * MIB;

/**
 * A socket to an object that has sent nothing for this long is closed when its place is needed. Clients send at once.
 */
export const MAX_SILENT_SOCKET_MS = 60_000;

// Tail readers.
/**
 * Bytes that a reader's client may leave unread before it gets more, whatever its window. The second applies once it
 * has shown that it reads. Closing its socket would free none of them. One frame may exceed it.
 */
export const MIN_READER_UNREAD_BYTES = 64 * KIB;
export const MAX_READER_UNREAD_BYTES = 512 * KIB;
/** The same for all readers of an isolate. Beyond this, readers with anything unread get nothing more. */
export const MAX_UNREAD_BYTES = 24 * MIB;
/** The window of a reader: bytes sent that it has not credited back. */
export const MAX_WINDOW_BYTES = 4 * MIB;
export const DEFAULT_WINDOW_BYTES = 1 * MIB;
/**
 * Readers of one partition, out of Cloudflare's 32,768 hibernatable sockets per object. Each costs one write per
 * append.
 */
export const MAX_READERS_PER_PARTITION = 10_000;
/**
 * Readers without a group that a partition serves itself. Each costs it 30 µs per append. Relays serve the others, if
 * their clients can follow.
 */
export const MAX_DIRECT_READERS = 50;
/** Readers that a partition sends to one relay. An append then takes 15 ms of the relay's time. */
export const MAX_READERS_PER_RELAY = 500;
/** Sockets that a relay accepts. More clients than expected may arrive, because some are on their way. */
export const MAX_SOCKETS_PER_RELAY = 2 * MAX_READERS_PER_RELAY;
/** The relays of a partition. Each costs one call per append. The partition itself serves further readers. */
export const MAX_RELAYS_PER_PARTITION = 64;
/** Bytes in one call to a relay. One batch may exceed it. A slow relay gets the accumulated bytes in several calls. */
export const RELAY_PUSH_BYTES = 1 * MIB;
/**
 * The newest bytes that a relay keeps in memory, enough for two pushes. Readers behind them cost a call to the
 * partition.
 */
export const RELAY_CACHE_BYTES = 4 * MIB;
/**
 * The time after an append at which a partition checks that its relays have it. It knows that already, unless it or a
 * relay failed in between. A relay without readers is dropped after the same time.
 */
export const RELAY_LOOK_MS = 10_000;
/** A control frame on any native socket, in characters. */
export const MAX_CONTROL_FRAME_CHARS = 1 * MIB;

// Groups.
export const MAX_GROUP_ID_LENGTH = 255;
export const MAX_CLIENT_ID_LENGTH = 255;
export const MAX_MEMBERS_PER_GROUP = 1_000;
/** A member's id: chosen by the client, or made from its client or instance id and a UUID. */
export const MAX_MEMBER_ID_LENGTH = MAX_CLIENT_ID_LENGTH + 37;
export const MAX_TOPICS_PER_MEMBER = 100;
/**
 * A Kafka client that evaluates its own pattern subscribes to every matching topic. Each becomes a row at the cluster.
 */
export const MAX_TOPICS_PER_KAFKA_MEMBER = 1_000;
/** The assignors that a classic member offers. Kafka's own clients know four. */
export const MAX_CLASSIC_PROTOCOLS = 100;
/** A classic member's metadata for all protocols. */
export const MAX_CLASSIC_MEMBER_BYTES = 1 * MIB;
/**
 * The metadata of all members of a classic group, plus the assignments from its leader. They are written at the
 * beginning and at the end of every rebalance.
 */
export const MAX_CLASSIC_GROUP_BYTES = 8 * MIB;
/** Topics in one call over a service binding. */
export const MAX_TOPICS_PER_BATCH = 100;
/** Sockets of a group that have not joined yet, or whose member was removed. */
export const MAX_SOCKETS_PER_GROUP = 2 * MAX_MEMBERS_PER_GROUP;
/** Offsets in one commit, acknowledgement, reset plan or OffsetDelete. At most as many names are looked up. */
export const MAX_OFFSETS_PER_COMMIT = 10_000;
export const MAX_OFFSET_METADATA_LENGTH = 4_096;
/** Topic names that one group's members subscribe to. The group is notified of each change of such a topic. */
export const MAX_NAMES_PER_GROUP = 10_000;
/** Different patterns that one group's members subscribe to. Each new topic is matched against all of them. */
export const MAX_PATTERNS_PER_GROUP = 100;
/** The length of a subscription pattern, in characters. */
export const MAX_TOPIC_PATTERN_LENGTH = 1_000;
/** Instructions of a compiled pattern. They bound the cost of matching one name. */
export const MAX_TOPIC_PATTERN_INSTRUCTIONS = 1_000;
/** Kafka's offsets.retention.minutes: the default of seven days, and the maximum of ten years. */
export const DEFAULT_OFFSETS_RETENTION_MINUTES = 7 * 24 * 60;
export const MAX_OFFSETS_RETENTION_MINUTES = 10 * 366 * 24 * 60;
export const MIN_SESSION_TIMEOUT_MS = 1_000;
/** KIP-848's default (group.consumer.session.timeout.ms). */
export const DEFAULT_SESSION_TIMEOUT_MS = 45_000;
export const MAX_SESSION_TIMEOUT_MS = 30 * 60_000;
/** The wait after a group's alarm has failed, at first and at most. It doubles each time. */
export const ALARM_RETRY_MS = 1_000;
export const MAX_ALARM_RETRY_MS = 5 * 60_000;
/** A group without activity checks its members this often. */
export const SAFETY_ALARM_MS = 30 * 60_000;
/**
 * KIP-848's default heartbeat (group.consumer.heartbeat.interval.ms). With a short session timeout, members send three
 * heartbeats per session.
 */
export const MAX_HEARTBEAT_INTERVAL_MS = 5_000;
export const MIN_HEARTBEAT_INTERVAL_MS = 100;
/** Kafka's group.consumer.max.heartbeat.interval.ms, for its own consumers. */
export const MAX_KAFKA_HEARTBEAT_INTERVAL_MS = 15_000;
/** The time in which a member must give up partitions. After that it is fenced. */
export const MIN_REBALANCE_TIMEOUT_MS = 1_000;
export const DEFAULT_REBALANCE_TIMEOUT_MS = 5 * 60_000;
export const MAX_REBALANCE_TIMEOUT_MS = 60 * 60_000;

/**
 * A group's history. The first bounds the operations, one row each, and the second the entries of one operation. The
 * next two bound the partitions named in one entry and in one operation. A topic's name may be long, and the last of
 * these keeps a row under 1 MB.
 */
export const MAX_HISTORY_OPERATIONS = 500;
export const MAX_HISTORY_ENTRIES_PER_OPERATION = 200;
export const MAX_HISTORY_PARTITIONS = 100;
export const MAX_HISTORY_PARTITIONS_PER_OPERATION = 2_000;
export const DEFAULT_HISTORY_ENTRIES = 200;
export const MAX_HISTORY_ENTRIES = 10_000;

// Plain WebSocket consumers.
/** Unacknowledged records per partition. */
export const DEFAULT_PLAIN_WINDOW_RECORDS = 500;
/**
 * The longest time before an acknowledged record is committed. The default is that of Kafka's auto.commit.interval.ms.
 */
export const MIN_PLAIN_COMMIT_INTERVAL_MS = 1_000;
export const DEFAULT_PLAIN_COMMIT_INTERVAL_MS = 5_000;
export const MAX_PLAIN_COMMIT_INTERVAL_MS = 60 * 60_000;
/** The bytes that an event stream's client may leave unread in the Worker. One frame may exceed it. */
export const EVENT_STREAM_BUFFER_BYTES = 256 * 1024;
/** The bytes that a plain WebSocket's client may leave unread in the Worker. One message may exceed it. */
export const MAX_PLAIN_UNSENT_BYTES = 256 * KIB;
/**
 * The bytes that a plain WebSocket's client may leave unread of everything except records. A client that reads never
 * gets that far behind. Each message counts with this overhead besides its text. It was measured.
 */
export const MAX_PLAIN_UNREAD_REPLY_BYTES = 1 * MIB;
export const MESSAGE_OVERHEAD_BYTES = 256;
/** The filter of a plain reader: the number of headers, and the characters of a name, a value or the key. */
export const MAX_FILTER_HEADERS = 10;
export const MAX_FILTER_LENGTH = 1_000;
export const MAX_PLAIN_WINDOW_RECORDS = 10_000;
/** Records in one `records` message. */
export const MAX_RECORDS_PER_MESSAGE = 500;
/** The time for which a plain consumer may still acknowledge records after `revoked`. */
export const DRAIN_TIMEOUT_MS = 3_000;

// The Worker.
/**
 * The age up to which topic metadata is used without asking the cluster. It varies by up to a fifth more, so that not
 * all isolates ask at once. Kafka's clients have the same bound (metadata.max.age.ms).
 */
export const METADATA_FRESH_MS = 5 * 60_000;
/**
 * Topic metadata older than this is used only if the cluster is out of reach. Younger metadata is used while the
 * cluster is asked.
 */
export const METADATA_STALE_MS = 15 * 60_000;
/** The largest age of a topic that is shown. SDK readers without a group ask four times a minute. */
export const METADATA_SHOWN_MS = 10_000;
/**
 * The topics that an isolate gets with its first answer, and their used partitions: about 50 KB each. After a deploy
 * that is one question per isolate, instead of one for each of its topics.
 */
export const MAX_HOT_TOPICS = 100;
export const MAX_HOT_PARTITIONS = 5_000;
/** The timeout of a question about a known topic, and the wait after one that failed. */
export const METADATA_RENEWAL_MS = 10_000;
/** The longest wait of a request for the answer to another request's question, before it asks for itself. */
export const LOOKUP_PATIENCE_MS = 2_000;
/** The time for which an existing group is assumed to exist. Its own object reports if it was deleted. */
export const GROUP_KNOWN_MS = 5 * 60_000;
export const METADATA_CACHE_TOPICS = 1_000;
/** Partitions that a Worker remembers as used: a topic id and a number each. */
export const USED_PARTITIONS = 10_000;
/** Groups that a Worker remembers as existing: a name and a time each. */
export const METADATA_CACHE_GROUPS = 10_000;
/**
 * The time for which unknown topic names and ids are remembered, and their number. A client that keeps asking thus does
 * not reach the cluster each time. The time is short, because the topic may be created elsewhere and used here at once.
 */
export const UNKNOWN_TOPIC_AGE_MS = 1_000;
export const UNKNOWN_TOPICS = 1_000;
/** The platform can restore an object to any time within this period. */
export const RECOVERY_MS = 30 * 24 * 3_600_000;
/** The longest wait until a restored object runs again, and the interval of asking. */
export const RECOVERY_WAIT_MS = 20_000;
export const RECOVERY_POLL_MS = 200;
/**
 * The topics of one page of the cluster's knowledge: with 1,000 partitions each, they take 4 MB. Then the tasks of one
 * answer.
 */
export const MAX_INSPECTED_TOPICS = 100;
export const MAX_INSPECTED_TASKS = 1_000;
/**
 * Objects that one request asks at once (lag, resets). The platform frees a connection when the headers of its answer
 * arrive, so its bound of six no longer applies. This bounds the memory that the answers take.
 */
export const FAN_OUT = 32;
/**
 * Objects with large answers that one request asks at once. A group's description may take megabytes, and a partition
 * answers a poll with a whole batch, before the request knows that it has enough.
 */
export const LARGE_FAN_OUT = 6;

// One invocation of the Worker. A session is one invocation for its whole life.
/**
 * The calls to objects after which a session ends and its client must connect again. It is less than the bound of an
 * invocation (wrangler.toml, limits.subrequests).
 */
export const MAX_INVOCATION_CALLS = 900_000;
/**
 * The estimated CPU time after which a session ends and its client must connect again: 60 % of the bound of an
 * invocation (wrangler.toml, limits.cpu_ms). The rest is for what the estimate misses. A deployment with another
 * `cpu_ms` sets RIVULET_SESSION_CPU_MS.
 */
export const DEFAULT_SESSION_CPU_MS = 180_000;
/** The platform allows an invocation five minutes at most. */
export const MAX_SESSION_CPU_MS = 300_000;
/** The longest wait of a session that must end for its client's acknowledgements and for its last commit. */
export const SESSION_END_MS = 30_000;

// The Kafka protocol.
/**
 * One request, without its length field: the most that one produce request may contain, and room for the fields around
 * it.
 */
export const MAX_KAFKA_REQUEST_BYTES = 17 * MIB;
/** The buffer for the next request of a connection. Thousands of idle connections have one. */
export const KAFKA_FIRST_READ_BYTES = 4 * KIB;
/**
 * A request gets a buffer as large as earlier requests on its connection, up to this: the largest request of Kafka's
 * clients by default. A larger request gets a buffer of twice the size received so far.
 */
export const MAX_KAFKA_USUAL_BYTES = 1 * MIB;
/**
 * Produce requests of one connection that are served concurrently, and their bytes. This is more than the five of
 * default size that Kafka's clients send ahead.
 */
export const MAX_KAFKA_OVERLAPPED_REQUESTS = 8;
export const MAX_KAFKA_OVERLAPPED_BYTES = 8 * MIB;
/** Unanswered requests from one connection: the largest request, and as much again of what follows it. */
export const MAX_KAFKA_QUEUED_BYTES = 36 * MIB;
/**
 * Unanswered requests and unread answers of all connections of an isolate: the most of one connection, plus room for
 * many small ones.
 */
export const MAX_KAFKA_IN_FLIGHT_BYTES = 48 * MIB;
/**
 * While all connections together have more than this in flight, none is read from until it is answered. So requests
 * that one client sends ahead never close the connections of others.
 */
export const MAX_KAFKA_AHEAD_BYTES = MAX_KAFKA_IN_FLIGHT_BYTES / 2;
/**
 * One answer, in memory and on the wire: the metadata of 1.4 million partitions, or the configs of some 10,000 topics.
 * It is three quarters of what all connections may have in flight.
 */
export const MAX_KAFKA_ANSWER_BYTES = 36 * MIB;
/**
 * An answer is sent in parts of at least the first size, with which it begins. The parts grow up to the second size for
 * a client that reads each part within KAFKA_FAST_WRITE_MS. A client must read each part within MAX_KAFKA_STALLED_MS,
 * so one that slows down to 18 KB/s can continue.
 */
export const MIN_KAFKA_WRITE_BYTES = 256 * KIB;
export const MAX_KAFKA_WRITE_BYTES = 512 * KIB;
export const KAFKA_FAST_WRITE_MS = 500;
/**
 * The bytes that a WebSocket's client may have left unread when the next part of an answer is sent. They stay in memory
 * until the client goes, even if its connection is closed. This is small enough for thousands of such clients, and
 * large enough that a client that reads never waits long.
 */
export const MAX_KAFKA_UNREAD_BYTES = 256 * KIB;
/** Connections that one isolate serves. */
export const MAX_KAFKA_CONNECTIONS = 4_096;
/** A connection without a request for this long is closed, as Kafka does (`connections.max.idle.ms`). */
export const MAX_KAFKA_IDLE_MS = 10 * 60_000;
/** The same for a connection that never sent a request. Every client sends ApiVersions at once. */
export const MAX_KAFKA_SILENT_MS = 10_000;
/**
 * A request that has begun must continue: this many bytes of it, or its end, must arrive within this time. A byte a
 * second is too slow.
 */
export const MAX_KAFKA_HALF_SENT_MS = 10_000;
export const MIN_KAFKA_HALF_SENT_BYTES = 4 * KIB;
/**
 * A connection is closed when its answers are not read for this long. A client's reader may wait for its handler for a
 * while.
 */
export const MAX_KAFKA_STALLED_MS = 30_000;
/** The number of nodes that the broker can present. */
export const MAX_KAFKA_NODES = 16;
/** Group members whose heartbeats one connection answers by itself. */
export const MAX_KAFKA_WATCHES = 32;
/** Partitions that one connection appends to over sockets. */
export const MAX_KAFKA_APPEND_SOCKETS = 256;
/** Member ids that a classic group has issued and nobody has joined with. The oldest makes room for the next. */
export const MAX_PENDING_CLASSIC_MEMBERS = 1_000;
/**
 * The time for which such an id is valid and waited for, unless the session timeout is shorter. A client joins with it
 * at once.
 */
export const MAX_PENDING_CLASSIC_MS = 10_000;
/** Elements of all arrays of one request. Each is an object in memory, many times its bytes. */
export const MAX_KAFKA_ELEMENTS = 200_000;
/** Partitions read by one connection. */
export const MAX_KAFKA_FEEDS = 2_048;
/**
 * The bytes that one partition may push ahead of a connection's fetches, at most and at least. One batch may exceed
 * them.
 */
export const MAX_FEED_BYTES = 2 * MIB;
export const MIN_FEED_BYTES = 64 * KIB;
/** Bytes pushed and not fetched, for one connection and for all of an isolate. Further bytes are pushed again later. */
export const MAX_FEEDS_BYTES = 16 * MIB;
export const MAX_ALL_FEEDS_BYTES = 32 * MIB;

/** Sockets that watch one group, such as consoles. */
export const MAX_OBSERVERS_PER_GROUP = 100;

// Metrics.
/** The most that one life of an object may count as. */
export const MAX_METRICS_WEIGHT = 8;
/** The interval at which the metrics are stored while reports keep arriving. */
export const SAVE_METRICS_MS = 5 * 60_000;
/**
 * When no report has arrived for this long, the metrics are stored with the next alarm: the MetricsObject may soon be
 * evicted.
 */
export const METRICS_REST_MS = 3_000;
/** Topics and groups whose costs are reported one by one. The cost of others is overhead. */
export const MAX_COST_OWNERS = 5_000;
/** Offsets that a group reports to the MetricsObject. */
export const MAX_REPORTED_POSITIONS = 2_000;

// Access.
/** Grants of one API key or token. Every request is compared with each. */
export const MAX_GRANTS = 100;
/** Bytes of all grants of a key or token, as written in JSON. */
export const MAX_GRANTS_BYTES = 8_000;
/**
 * Bytes of a caller as a socket stores it: its principal, its grants with the namespace in each, and the rest. An
 * attachment has 16,384 bytes. The remaining ones are for a reader of the longest group, or for the longest member id.
 */
export const MAX_CALLER_BYTES = 15_200;
/** Characters of a name or prefix in a grant. A group id may be as long. */
export const MAX_GRANT_NAME_CHARS = 256;
/** Characters of a principal. A token's subject becomes one. */
export const MAX_PRINCIPAL_CHARS = 256;
/** Characters of a namespace. Topic names have the rest of their own bound. */
export const MAX_NAMESPACE_CHARS = 64;
/** The largest value of a quota, far beyond what one object or isolate can do. */
export const MAX_QUOTA = 1_000_000_000_000;
/** The smallest byte rate, in bytes per second. */
export const MIN_QUOTA_BYTE_RATE = 1_024;
/**
 * The time over which a quota's rate holds. This much may come at once after a pause. Kafka has 11 samples of one
 * second.
 */
export const QUOTA_WINDOW_MS = 1_000;
/** Partly used quotas of an isolate or a partition at a time: one for each rate of each principal. */
export const MAX_QUOTA_BUCKETS = 30_000;
/**
 * The same for tokens, whose number is unlimited. All token makers here have equal shares. Tokens of other issuers are
 * separate.
 */
export const MAX_TOKEN_QUOTA_BUCKETS = 10_000;
/**
 * The longest time for which a Kafka connection or a reader's socket is muted at once. The rest is waited for later.
 */
export const MAX_THROTTLE_MS = 10_000;
/**
 * Lines of the audit log that are kept of changes, and as many of refusals. Then the most and the default number in one
 * answer.
 */
export const MAX_AUDIT_EVENTS = 10_000;
export const MAX_AUDIT_ANSWER_EVENTS = 1_000;
export const DEFAULT_AUDIT_EVENTS = 100;
/** Refusals of one principal and its tokens that are reported within AUDIT_RATE_MS. Others are counted. */
export const AUDIT_RATE = 10;
export const AUDIT_RATE_MS = 1_000;
/** Refusals of all principals that one isolate reports within AUDIT_RATE_MS. */
export const MAX_AUDIT_REFUSALS = 100;
/** Principals whose refusals are counted at a time. */
export const MAX_AUDIT_PRINCIPALS = 1_000;
/** Lines that wait to be sent to the cluster, and how long refusals wait for others. */
export const MAX_AUDIT_PENDING = 1_000;
export const AUDIT_FLUSH_MS = 1_000;
/** Characters of each text in a line. */
export const MAX_AUDIT_TEXT_CHARS = 1_000;
/** API keys of one deployment. */
export const MAX_API_KEYS = 10_000;
/** Changes of keys that the cluster remembers. An isolate that missed more must load its keys anew. */
export const MAX_KEY_CHANGES = 1_000;
/**
 * The time for which an isolate caches an API key, or the fact that it does not exist. After that a revoked key is
 * refused.
 */
export const API_KEY_AGE_MS = 10_000;
export const UNKNOWN_API_KEY_AGE_MS = 5_000;
export const API_KEY_CACHE = 10_000;
/** The time for which a cached key stays valid while the cluster's object is out of reach. */
export const STALE_API_KEY_AGE_MS = 3_600_000;
/** Characters of a token. Many proxies bound a header line to 8 KiB. */
export const MAX_TOKEN_CHARS = 4_096;
/** The time for which an isolate caches a token whose signature it has verified, and the number of such tokens. */
export const TOKEN_AGE_MS = 10_000;
export const TOKEN_CACHE = 1_000;
/** The lifetime of a token made here, in milliseconds. */
export const DEFAULT_TOKEN_TTL_MS = 15 * 60_000;
export const MIN_TOKEN_TTL_MS = 1_000;
export const MAX_TOKEN_TTL_MS = 24 * 3_600_000;
/** An open socket checks this often whether its API key is still valid. */
export const SOCKET_KEY_AGE_MS = 5 * 60_000;
/** The longest time between sign-ins on a Kafka connection, from Kafka's `connections.max.reauth.ms`. */
export const MAX_KAFKA_SESSION_MS = 24 * 3_600_000;

// Metrics. The MetricsObject holds all of this in memory. A number takes 36 bytes, as measured, so all of them take 36
// MB.
/** Objects and isolates remembered one by one. Beyond this, the one that reported longest ago is forgotten. */
export const MAX_METRICS_OBJECTS = 10_000;
/** The numbers that all of them have reported: counters of lives, offsets of groups, ends of logs with their times. */
export const MAX_METRICS_NUMBERS = 1_000_000;
/** Lives of one object. A report of a life may be late, but hardly by more than one other life. */
export const MAX_METRICS_LIVES = 4;
/**
 * Counters of one object, and of one sum. Further counters are counted together. An isolate has one for each outcome.
 */
export const MAX_METRICS_COUNTERS = 1_000;
/** Offsets of one group. The lag in further partitions is not reported. */
export const MAX_METRICS_POSITIONS = 10_000;
/** Topics and groups with a name in the metrics. The others are summed. Each name takes about 15 series. */
export const MAX_METRICS_TOPICS = 500;
export const MAX_METRICS_GROUPS = 500;
/** Classes of objects besides partitions and groups: those of the cluster, the Worker and the metrics themselves. */
export const MAX_METRICS_CLASSES = 20;
/** Incarnations of one topic's name. A topic deleted and created again has two until the deletion is reported. */
export const MAX_METRICS_TOPIC_IDS = 8;
/** Deleted topics and groups whose late snapshots are ignored, and for how long. */
export const MAX_METRICS_REMOVED = 1_000;
export const METRICS_LATE_MS = 2 * 60_000;
/** The shortest time between two reports of a busy object or an isolate. */
export const METRICS_INTERVAL_MS = 60_000;
/** An isolate without a report for this long is gone, and so are its connections. */
export const METRICS_ISOLATE_SILENT_MS = 5 * 60_000;
/**
 * The ends of a log: one per minute for an hour, then one per quarter of an hour for a day. That makes 60 and 96, plus
 * the edges.
 */
export const END_HISTORY_FINE_MS = 60 * 60_000;
export const END_HISTORY_COARSE_STEP_MS = 15 * 60_000;
export const END_HISTORY_MS = 24 * 60 * 60_000;
export const MAX_END_HISTORY_POINTS = 180;
/**
 * Characters in one piece of the metrics' state. In UTF-8 they take at most three times as many bytes, within
 * MAX_ROW_BYTES.
 */
export const MAX_METRICS_PIECE_CHARS = 600_000;
/**
 * Partitions and groups that are asked for fresh metrics at once. The free plan allows an invocation 1,000 calls to
 * objects.
 */
export const MAX_METRICS_ASKED = 1_000;
/**
 * A group with more members must read all of them for a report. So it reports only when it has been awake for a while,
 * which happens often, and is not asked.
 */
export const FEW_METRICS_MEMBERS = 100;
/** Series of one scrape. The smallest Prometheus can ingest them. */
export const MAX_METRICS_SERIES = 20_000;
/** Groups that are listed with their lags at once. */
export const MAX_LISTED_LAGS = 1_000;
/** Characters of a label value that is a reason, an error or an API. */
export const MAX_METRICS_LABEL_CHARS = 64;

// Alerts.
export const MAX_ALERT_RULES = 100;
/** Groups, partitions and budgets that meet rules at the same time. Each rule has an equal share. */
export const MAX_ALERTS_STANDING = 1_000;
/** Messages that are sent to one webhook at the same time. */
export const MAX_SENT_TO_WEBHOOK = 4;
/** Messages that wait for webhooks. Beyond it, the oldest are dropped. */
export const MAX_ALERT_DELIVERIES = 1_000;
export const MAX_ALERT_NAME_CHARS = 64;
export const MAX_ALERT_MATCH_CHARS = 255;
export const MAX_ALERT_TEXT_CHARS = 400;
export const MAX_WEBHOOK_URL_CHARS = 2_000;
export const MAX_ALERT_SECONDS = 30 * 24 * 3_600;
/** The timeout of a webhook's answer. */
export const WEBHOOK_TIMEOUT_MS = 10_000;
/** The wait before a message that was not accepted is sent again. It grows with each attempt, up to an hour. */
export const ALERT_RETRY_MS = 15_000;
export const MAX_ALERT_RETRY_MS = 3_600_000;
/** The time after which a message is given up. */
export const ALERT_GIVE_UP_MS = 24 * 3_600_000;
/** The time for which metrics may change before the alerts are checked again, while reports arrive. */
export const ALERT_LOOK_MS = 10_000;

// Budgets.
export const MAX_BUDGET_DOLLARS = 1_000_000;
/** Topics with budgets, and principals with budgets that were active today. Those beyond are not bounded. */
export const MAX_BUDGETS = 5_000;
/**
 * The same for tokens with budgets of their own, in total and per maker. For those beyond, only the maker's budget
 * applies.
 */
export const MAX_TOKEN_BUDGETS = 2_000;
export const MAX_BUDGETS_PER_MAKER = 200;
/** Cost reports that are remembered, so that a repeated one counts once. */
export const MAX_SPENT_BATCHES = 10_000;
/** The percentage of a budget at which the audit log gets a warning. */
export const BUDGET_WARNING_PERCENT = 80;

/** Characters of a request id. */
export const MAX_REQUEST_ID_CHARS = 64;

// Share groups.
/** The ranges of records with different states that a partition remembers for a share group: at most 1 MB as stored. */
export const MAX_SHARE_RANGES = 10_000;
/** The reasons of archiving records together, in characters. Beyond that a reason is left out of the dead letter. */
export const MAX_SHARE_REASON_CHARS = 100_000;
/** The share groups that a partition keeps delivery states for. */
export const MAX_SHARE_GROUPS_PER_PARTITION = 100;
/** A lock that the group's config sets (Kafka's bound for brokers), and one that a consumer asks for. */
export const DEFAULT_SHARE_LOCK_MS = 30_000;
export const MIN_SHARE_LOCK_MS = 1_000;
export const MAX_SHARE_CONFIG_LOCK_MS = 60 * 60_000;
export const MAX_SHARE_LOCK_MS = 12 * 60 * 60_000;
/** A wait before the next delivery: as long as that of Cloudflare Queues. */
export const MAX_SHARE_DELAY_MS = 12 * 60 * 60_000;
export const MAX_SHARE_BACKOFFS = 20;
export const DEFAULT_SHARE_DELIVERIES = 5;
export const MAX_SHARE_DELIVERIES = 100;
export const DEFAULT_SHARE_LOCKS = 2_000;
export const MIN_SHARE_LOCKS = 1;
export const MAX_SHARE_LOCKS = 10_000;
/** Records and acknowledgements in one request. */
export const MAX_ACQUIRED_RECORDS = 1_000;
export const DEFAULT_ACQUIRED_RECORDS = 100;
export const MAX_ACKS_PER_REQUEST = 1_000;
/** Why a record was given up, in characters. */
export const MAX_REJECT_REASON_LENGTH = 1_000;
/** Partitions that a waiting client watches. With more, it looks again at all of them once a second. */
export const MAX_WATCHED_PARTITIONS = 64;
/** Dead letters that a partition writes before it notes that they are written. */
export const DEAD_LETTERS_AT_ONCE = 100;
