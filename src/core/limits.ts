// Every bound of the broker, with its unit and its reason. Nothing in Rivulet grows without one of these.

const KIB = 1024;
const MIB = 1024 * KIB;

// Memory.
/**
 * Everything that is counted in one isolate: half of the 128 MB that the platform gives it. The other half is for the
 * code, for what is under way between two counts, and for what V8 has not collected yet. Each bound below is on a part of it.
 */
export const MAX_ISOLATE_BYTES = 64 * MIB;
/** A holder that has not moved for so long was cancelled: its code does not run to its end. */
export const HOLDER_SILENT_MS = 60_000;

// Requests.
/** The body of an HTTP request, unpacked. The Worker holds the body, its parsed form and its batches in 128 MB. */
export const MAX_REQUEST_BYTES = 16 * MIB;
/** How much of an oversized body is read and thrown away, and for how long, so that the client sees the answer. */
export const MAX_DISCARDED_BYTES = 256 * MIB;
export const MAX_DISCARD_MS = 10_000;
/**
 * A body piece of this size, or the body's end, must come within this time: two kilobytes a second, as on a bad line.
 */
export const BODY_PIECE_BYTES = 64 * KIB;
export const BODY_PIECE_MS = 30_000;
/** The bodies that come in at once in one Worker: the bytes that have arrived, unpacked. Two of the largest fit. */
export const MAX_REQUEST_BYTES_IN_PROGRESS = 32 * MIB;
/** The bodies being worked on at once in one Worker, with everything made from them. */
export const MAX_WORK_BYTES = 48 * MIB;
/** The most that one of them counts as, so that a few small ones do not cause the largest to be refused. */
export const MAX_WORK_BYTES_PER_REQUEST = 18 * MIB;
/** The memory for a JSON value of a record while it is worked on, all that is made of it together. It was measured. */
export const JSON_VALUE_BYTES = 200;
/**
 * JSON from outside: levels of lists and objects inside one another. Some readers of it call themselves for each level.
 */
export const MAX_JSON_DEPTH = 100;
/**
 * Values in one JSON text. Each is an object in memory, many times its bytes. A text that holds records may have more.
 */
export const MAX_JSON_VALUES = 200_000;
export const MAX_RECORD_JSON_VALUES = 2_000_000;
/** Reads of partitions that are under way in one Worker. Each is reckoned to bring as much as the largest of late. */
export const MAX_READS_BYTES = 16 * MIB;
export const MIN_READ_ROOM_BYTES = 256 * KIB;
/** How long a read waits for its turn. */
export const MAX_READ_TURN_MS = 10_000;
/** An answer up to this size goes out at once. A larger one goes in pieces of this size, made as the client reads. */
export const ANSWER_PIECE_BYTES = 128 * KIB;
/** The bytes that larger, unread answers hold in one Worker. */
export const MAX_ANSWER_BYTES_IN_PROGRESS = 32 * MIB;
/**
 * One read asks for this fraction of the free part of them, and at
 * least for the minimum, so many later reads find room.
 */
export const ANSWER_SHARES = 8;
export const MIN_ANSWER_SHARE_BYTES = 64 * KIB;
/** A client that takes nothing of its answer for so long has gone, or means harm. */
export const ANSWER_STALL_MS = 30_000;
/** An answer of which nothing was taken for so long goes before others where memory is short. */
export const ANSWER_SLOW_MS = 100;
/** The memory for an item of a list, or for a record besides its bytes, while its answer goes out. */
export const ANSWER_ITEM_BYTES = 256;
/** The memory for the result of a record that was produced. It was measured. */
export const ANSWER_RESULT_BYTES = 96;
/** Records in one produce request. */
export const MAX_RECORDS_PER_REQUEST = 100_000;
/** Headers of one record. */
export const MAX_HEADERS_PER_RECORD = 100;
/** The end of the year 9999, which both Date and RecordBatch v2's deltas can hold. */
export const MAX_TIMESTAMP_MS = 253_402_300_799_999;
/** `maxBytes` of a read. It is far below what one RPC may carry (32 MiB). */
export const MAX_FETCH_BYTES = 8 * MIB;
export const DEFAULT_FETCH_BYTES = 1 * MIB;
/** Records in one JSON read. */
export const MAX_FETCH_RECORDS = 10_000;
export const DEFAULT_FETCH_RECORDS = 500;
/** `waitMs` of a read: how long a request may wait for records. */
export const MAX_WAIT_MS = 30_000;

/** NDJSON has any length. These bound a line of a request, and the part that is stored or read at a time. */
export const MAX_LINE_BYTES = 4 * MIB;
export const BULK_CHUNK_BYTES = 1 * MIB;
export const BULK_CHUNK_RECORDS = 5_000;
/** The refused records that the answer of a bulk request names. */
export const MAX_BULK_ERRORS = 100;

// Topics.
/** Kafka's own bound on names (Topic.java). */
export const MAX_TOPIC_NAME_LENGTH = 249;
/** Each partition is one object. Lag, resets and deletion visit every partition of a topic in one request. */
export const MAX_PARTITIONS_PER_TOPIC = 1_000;
export const DEFAULT_PARTITIONS = 1;
/** Topics and groups live in one ClusterObject. What one of them costs it does not grow with their number. */
export const MAX_TOPICS = 10_000;
export const MAX_GROUPS = 100_000;
/** Topics or groups in one answer of the cluster, and in one page of a list over HTTP. */
export const MAX_LIST_PAGE = 1_000;
export const DEFAULT_LIST_PAGE = 100;

/** How long a deleted topic is kept where the platform keeps the data, by default and at most. Its storage is paid for. */
export const DELETE_DELAY_MS = 24 * 60 * 60_000;
export const MAX_DELETE_DELAY_MS = 30 * 24 * 60 * 60_000;
/** Deleted topics that are kept. Beyond it, the one that would go first goes at once. */
export const MAX_DELETED_TOPICS = MAX_TOPICS;

// The log.
/**
 * Kafka's default of `max.message.bytes`, and our upper bound. A row
 * holds at least one batch, and rows have at most 2 MB.
 */
export const MAX_MESSAGE_BYTES = 1_048_588;
/** A chunk row holds whole batches up to this size (one batch may be as large as MAX_MESSAGE_BYTES). */
export const MAX_CHUNK_BYTES = MAX_MESSAGE_BYTES;
/** One append: the most that a single atomic step may write. */
export const MAX_APPEND_BYTES = 16 * MIB;
/**
 * Appends that wait for the next group commit, at all partitions of an isolate: two of the largest. Beyond this bound,
 * the producer is told to slow down.
 */
export const MAX_PENDING_APPENDS_BYTES = 32 * MIB;
/**
 * `commit.linger.ms`: how long an append may wait for others to share its row. A row a second costs $2.60 a month, so
 * waiting longer saves little. A client must have its answer long before it gives up: Kafka's do after 30 s, and the
 * five appends that a producer may have under way then still make five a second.
 */
export const MAX_COMMIT_LINGER_MS = 1_000;
/** One object may store 10 GB. The rest is for everything that is not the log, and for what makes room. */
export const MAX_PARTITION_BYTES = 9_500_000_000;
/** The bytes that a group or the cluster stores, likewise. Beyond it only what makes room goes on. */
export const MAX_METADATA_BYTES = 9_500_000_000;
/**
 * `retention.bytes` where nobody sets it. Kafka has no bound, but disks are as large as one buys them. Here a partition
 * would take appends for a week, say, and then none. With the largest segment besides it stays below its bound.
 */
export const DEFAULT_RETENTION_BYTES = 5_000_000_000;
/**
 * A segment is rolled at its config's bounds, or here. Whole segments
 * are dropped, so this is the granularity of retention.
 */
export const DEFAULT_SEGMENT_BYTES = 64 * MIB;
/** Kafka's own minimum (KIP-1030). */
export const MIN_SEGMENT_BYTES = 1 * MIB;
/** Kafka's own maximum, an int. Segments are freed whole, so a larger one would fill a partition that nothing empties. */
export const MAX_SEGMENT_BYTES = 2_147_483_647;
export const MAX_SEGMENT_CHUNKS = 100_000;
/** Each segment is a table, and SQLite reads the list of tables when an object wakes up. */
export const MAX_SEGMENTS = 1_000;
/**
 * Chunks of the tail that a PartitionObject keeps in memory for its readers: at least, and at most while its readers are
 * so far behind.
 */
export const MIN_TAIL_CACHE_BYTES = 256 * KIB;
export const MAX_TAIL_CACHE_BYTES = 4 * MIB;
/** Chunks that a partition remembers as checked since it woke up. A chunk that it has forgotten is checked again. */
export const MAX_VERIFIED_CHUNKS = 10_000;
/** How often, at most, retention looks again (Kafka's log.retention.check.interval.ms). */
export const HOUSEKEEPING_INTERVAL_MS = 5 * 60_000;
/**
 * How long housekeeping that failed waits for its next try. The pause doubles each time, because a full or damaged
 * storage may stay so, and each try is a request and a row.
 */
export const HOUSEKEEPING_RETRY_MS = 60_000;
export const MAX_HOUSEKEEPING_RETRY_MS = 60 * 60_000;

// Idempotence.
/** The batches of a producer that a partition can recognize as repeats. The number is Kafka's. */
export const PRODUCER_WINDOW = 5;
/** The most that a row of an object's SQLite may hold: the platform's bound of 2 MB. */
export const MAX_ROW_BYTES = 2_000_000;
/** The longest JSON of one append of an idempotent producer, its comma included. */
export const MAX_APPEND_ENTRY_BYTES = 92;
/**
 * Producers that a partition remembers. The one silent for longest is forgotten first. A snapshot row holds them all:
 * 4,000 × 5 × 92 bytes are 1.84 MB, of MAX_ROW_BYTES.
 */
export const MAX_PRODUCERS_PER_PARTITION = 4_000;
/** Appends that begin in one chunk. 8,000 × 92 bytes and MAX_CHUNK_BYTES are 1.78 MB, of MAX_ROW_BYTES. */
export const MAX_APPENDS_PER_CHUNK = 8_000;
/** A snapshot of the producers is stored after this many chunks, so waking up reads no more chunks than this. */
export const PRODUCER_SNAPSHOT_CHUNKS = 64;
/** Producer ids that a Worker keeps for its own requests, each with its sequence numbers. */
export const MAX_POOLED_PRODUCERS = 1_000;
/** Partitions whose sequence number one producer remembers. */
export const MAX_PARTITIONS_PER_PRODUCER = 1_000;
/** Tries of one append by the Worker if the outcome of the previous try is unknown. */
export const MAX_APPEND_TRIES = 4;
/** `Idempotency-Key`: how long the first answer is kept, and how long a key may be, in characters. */
export const IDEMPOTENCY_KEY_TTL_MS = 24 * 60 * 60_000;
export const MAX_IDEMPOTENCY_KEY_LENGTH = 255;
/** A partition that stores more bytes than this takes no more keys. The rest of its 10 GB keeps it running. */
export const MAX_BYTES_WITH_IDEMPOTENCY_KEYS = 9_800_000_000;

// Compaction.
/**
 * Keys whose newest offset one pass holds in memory, and the bytes of those keys. Later keys wait for the next pass.
 */
export const MAX_COMPACTION_KEYS = 100_000;
export const MAX_COMPACTION_KEY_BYTES = 16 * MIB;
/** Bytes read in one slice of compaction. The object serves others between slices. */
export const COMPACTION_SLICE_BYTES = 1 * MIB;
/** Objects that decoding a batch may create. A compressed batch may hold far more of them than it has bytes. */
export const MAX_RECORDS_PER_BATCH = 250_000;
export const MAX_HEADERS_PER_BATCH = 500_000;
/** The most that a compressed batch may unfold to for code that looks inside. As JSON it may be six times that. */
export const MAX_DECOMPRESSED_BYTES = 16 * MIB;
/** The most that the batches of one append or request may unfold to together, if they are looked into. */
export const MAX_DECODED_REQUEST_BYTES = 64 * MIB;
/**
 * Records that one commit compares with stored ones, both sides unfolded. The commit keeps its turn meanwhile, so the
 * next repeat beyond this bound has to come again. A single append may take as much as this.
 */
export const MAX_COMPARED_BYTES = 64 * MIB;
/** Unfolded records of one JSON read. At least one batch is read. */
export const MAX_DECODED_FETCH_BYTES = 8 * MIB;
/** Unfolded records that a consumer has delivered from one partition and not gotten back yet, before it goes on. */
export const MAX_DECODED_IN_HAND_BYTES = 4 * MIB;
/**
 * Unfolded records that a session in the Worker holds for its client, of all partitions that the client has not paused. A
 * topic has up to 1,000 partitions.
 */
export const MAX_SESSION_IN_HAND_BYTES = 4 * MIB;
/** The same of all sessions of an isolate, those of paused partitions and what their clients have not taken included. */
export const MAX_SESSIONS_BYTES = 24 * MIB;
/**
 * The window of a session in the Worker, which its partitions share: at first, and at most, when the client has shown that
 * it reads. One partition has at most and at least as much of it as the next two bounds say. One batch may exceed it.
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
/** A poll is noted again when the last note is so old. A group counts as polling for that time and one more session. */
export const FENCE_REFRESH_MS = 60 * 60_000;
/** Partitions that the cluster tells about a clock that was set back: those written to last. Each one is a call. */
export const MAX_WRITERS_TOLD_OF_CLOCK = 2_000;
/**
 * How far a group's incarnation may be ahead of the partition's clock. Beyond it, the group is asked if it is its own.
 */
export const MAX_INCARNATION_AHEAD_MS = 60_000;

// Sockets to objects.
/**
 * The bytes that the client of a socket to an object may leave unread before it asks for more: the records that a reader
 * may leave unread, and twice as much of answers. A client that is merely slow never has more.
 */
export const MAX_SOCKET_UNREAD_BYTES = 4 * MIB;

/** A socket to an object that has said nothing for so long is closed where its room is asked for. Clients speak at once. */
export const MAX_SILENT_SOCKET_MS = 60_000;

// Tail readers.
/**
 * Bytes that a reader's client may leave unread before it is sent more, whatever its window: at first, and at most once
 * it has shown that it reads. Closing its socket would free none of them. One frame may go beyond it.
 */
export const MIN_READER_UNREAD_BYTES = 64 * KIB;
export const MAX_READER_UNREAD_BYTES = 512 * KIB;
/** The same of all readers of an isolate. Beyond it, those that have left anything unread are sent nothing more. */
export const MAX_UNREAD_BYTES = 24 * MIB;
/** Bytes that a reader has not given back. */
export const MAX_WINDOW_BYTES = 4 * MIB;
export const DEFAULT_WINDOW_BYTES = 1 * MIB;
/**
 * Readers of one partition, out of Cloudflare's 32,768 hibernatable
 * sockets per object. Each costs one write per append.
 */
export const MAX_READERS_PER_PARTITION = 10_000;
/**
 * Readers without a group that a partition serves itself. Each costs it 30 µs an append. Those beyond are served by
 * relays, where their clients can follow.
 */
export const MAX_DIRECT_READERS = 50;
/** Readers that a partition sends to one relay. An append then takes 15 ms of the relay. */
export const MAX_READERS_PER_RELAY = 500;
/** Sockets that a relay takes. More clients than expected may come, because some are on their way. */
export const MAX_SOCKETS_PER_RELAY = 2 * MAX_READERS_PER_RELAY;
/** Each is a call for an append. Readers beyond are served by the partition itself. */
export const MAX_RELAYS_PER_PARTITION = 64;
/** Bytes in one call to a relay. One batch may go beyond. A relay that is slow gets what came meanwhile in pieces. */
export const RELAY_PUSH_BYTES = 1 * MIB;
/** The newest bytes that a relay keeps in memory, enough for two pushes. Readers behind them cost a call to the partition. */
export const RELAY_CACHE_BYTES = 4 * MIB;
/**
 * A partition makes sure so long after an append that its relays have it. It knows that already, unless it or a relay broke
 * down in between. A relay with nobody left is dropped after as long.
 */
export const RELAY_LOOK_MS = 10_000;
/** A control frame on any native socket, in characters. */
export const MAX_CONTROL_FRAME_CHARS = 1 * MIB;

// Groups.
export const MAX_GROUP_ID_LENGTH = 255;
export const MAX_CLIENT_ID_LENGTH = 255;
export const MAX_MEMBERS_PER_GROUP = 1_000;
/** A member's id: chosen by the client, or made of its client or instance id and a UUID. */
export const MAX_MEMBER_ID_LENGTH = MAX_CLIENT_ID_LENGTH + 37;
export const MAX_TOPICS_PER_MEMBER = 100;
/** A Kafka client with a pattern of its own names all topics that match. Each becomes a row at the cluster. */
export const MAX_TOPICS_PER_KAFKA_MEMBER = 1_000;
/** The assignors that a classic member offers. Kafka's own clients know four. */
export const MAX_CLASSIC_PROTOCOLS = 100;
/** A classic member's metadata for all protocols. */
export const MAX_CLASSIC_MEMBER_BYTES = 1 * MIB;
/**
 * The metadata of all members of a classic group, and the assignments that its leader makes. They are written whenever a
 * rebalance begins and when it is done.
 */
export const MAX_CLASSIC_GROUP_BYTES = 8 * MIB;
/** Topics in one call over a service binding. */
export const MAX_TOPICS_PER_BATCH = 100;
/** Sockets of a group that have not joined yet, or whose member has gone. */
export const MAX_SOCKETS_PER_GROUP = 2 * MAX_MEMBERS_PER_GROUP;
/** Positions in one commit, acknowledgement, plan or OffsetDelete. At most as many names are looked up. */
export const MAX_OFFSETS_PER_COMMIT = 10_000;
export const MAX_OFFSET_METADATA_LENGTH = 4_096;
/** Names of topics that one group's members subscribe to. Each change of such a topic is told to the group. */
export const MAX_NAMES_PER_GROUP = 10_000;
/** Different patterns that one group's members subscribe to. Each new topic is matched against all of them. */
export const MAX_PATTERNS_PER_GROUP = 100;
/** The length of a subscription pattern, in characters. */
export const MAX_TOPIC_PATTERN_LENGTH = 1_000;
/** Instructions that a pattern compiles to. The cost of matching a name grows with them. */
export const MAX_TOPIC_PATTERN_INSTRUCTIONS = 1_000;
/** Kafka's offsets.retention.minutes: seven days by default, ten years at most. */
export const DEFAULT_OFFSETS_RETENTION_MINUTES = 7 * 24 * 60;
export const MAX_OFFSETS_RETENTION_MINUTES = 10 * 366 * 24 * 60;
export const MIN_SESSION_TIMEOUT_MS = 1_000;
/** KIP-848's default (group.consumer.session.timeout.ms). */
export const DEFAULT_SESSION_TIMEOUT_MS = 45_000;
export const MAX_SESSION_TIMEOUT_MS = 30 * 60_000;
/** How long a group's alarm that failed waits for its next try, at first and at most. The pause doubles. */
export const ALARM_RETRY_MS = 1_000;
export const MAX_ALARM_RETRY_MS = 5 * 60_000;
/** A group in which nothing happens looks at its members this often. */
export const SAFETY_ALARM_MS = 30 * 60_000;
/** KIP-848's default heartbeat (group.consumer.heartbeat.interval.ms). Short sessions beat three times per session. */
export const MAX_HEARTBEAT_INTERVAL_MS = 5_000;
export const MIN_HEARTBEAT_INTERVAL_MS = 100;
/** Kafka's group.consumer.max.heartbeat.interval.ms, for its own consumers. */
export const MAX_KAFKA_HEARTBEAT_INTERVAL_MS = 15_000;
/** How long a member may take to give up partitions before it is fenced. */
export const MIN_REBALANCE_TIMEOUT_MS = 1_000;
export const DEFAULT_REBALANCE_TIMEOUT_MS = 5 * 60_000;
export const MAX_REBALANCE_TIMEOUT_MS = 60 * 60_000;

/**
 * The flight recorder: the operations that it remembers, one row each; the entries of one operation;
 * the partitions named in one entry, and in all entries of an operation. Each may be of a topic with a
 * long name, and the last bound keeps a row under 1 MB.
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
/** How long an acknowledged record is uncommitted at most. Kafka's auto.commit.interval.ms by default. */
export const MIN_PLAIN_COMMIT_INTERVAL_MS = 1_000;
export const DEFAULT_PLAIN_COMMIT_INTERVAL_MS = 5_000;
export const MAX_PLAIN_COMMIT_INTERVAL_MS = 60 * 60_000;
/** The bytes that an event stream's client may leave unread in the Worker. One frame may exceed it. */
export const EVENT_STREAM_BUFFER_BYTES = 256 * 1024;
/** The bytes that a plain WebSocket's client may leave unread in the Worker. One message may exceed it. */
export const MAX_PLAIN_UNSENT_BYTES = 256 * KIB;
/**
 * The bytes that a plain WebSocket's client may leave unread of everything but records. A client that reads is never
 * sent that much meanwhile. Each message takes the overhead in memory besides its text. It was measured.
 */
export const MAX_PLAIN_UNREAD_REPLY_BYTES = 1 * MIB;
export const MESSAGE_OVERHEAD_BYTES = 256;
/** The filter of a plain reader: the number of headers, and the characters of a name, a value or the key. */
export const MAX_FILTER_HEADERS = 10;
export const MAX_FILTER_LENGTH = 1_000;
export const MAX_PLAIN_WINDOW_RECORDS = 10_000;
/** Records of one `records` message. */
export const MAX_RECORDS_PER_MESSAGE = 500;
/** After `revoked`, how long a plain consumer may still acknowledge the records that it was given. */
export const DRAIN_TIMEOUT_MS = 3_000;

// The Worker.
/**
 * Topic metadata is used for this long before the cluster is asked again, and for up to a fifth longer, so that not all
 * isolates ask at once. Kafka's clients have the same bound (metadata.max.age.ms).
 */
export const METADATA_FRESH_MS = 5 * 60_000;
/** Topic metadata of this age is used only if the cluster is out of reach. Younger metadata is used while it is asked. */
export const METADATA_STALE_MS = 15 * 60_000;
/** A topic is shown as it was this long ago at most. SDK readers without a group ask four times a minute. */
export const METADATA_SHOWN_MS = 10_000;
/**
 * Topics that an isolate is told with its first answer, and the partitions of them that were used: about 50 KB each. After
 * a deploy that is one question of an isolate in the place of one for each of its topics.
 */
export const MAX_HOT_TOPICS = 100;
export const MAX_HOT_PARTITIONS = 5_000;
/** How long a question about a known topic may take before it is asked again, and a failed one waits. */
export const METADATA_RENEWAL_MS = 10_000;
/** How long a request waits for the answer to a question of another request before it asks for itself. */
export const LOOKUP_PATIENCE_MS = 2_000;
/** How long a group that exists is taken to exist. Its own object says if it was deleted. */
export const GROUP_KNOWN_MS = 5 * 60_000;
export const METADATA_CACHE_TOPICS = 1_000;
/** Partitions that a Worker remembers as used: a topic id and a number each. */
export const USED_PARTITIONS = 10_000;
/** Groups that a Worker remembers as existing: a name and a time each. */
export const METADATA_CACHE_GROUPS = 10_000;
/**
 * How long names and ids of no topic are remembered, and how many. A client that keeps asking does not reach the cluster
 * each time. It is short, because the topic may be created elsewhere and used here at once.
 */
export const UNKNOWN_TOPIC_AGE_MS = 1_000;
export const UNKNOWN_TOPICS = 1_000;
/** How far the platform can go back. */
export const RECOVERY_MS = 30 * 24 * 3_600_000;
/** How long the new life of a restored object is waited for, and how often it is asked meanwhile. */
export const RECOVERY_WAIT_MS = 20_000;
export const RECOVERY_POLL_MS = 200;
/** Topics of one page of what the cluster knows: of 1,000 partitions each they come to 4 MB. Tasks of one answer. */
export const MAX_INSPECTED_TOPICS = 100;
export const MAX_INSPECTED_TASKS = 1_000;
/**
 * Objects that one request asks at once (lag, resets). The platform frees a connection when the headers of its answer
 * arrive, so it no longer bounds them to six. The bound is on what their answers take in memory.
 */
export const FAN_OUT = 32;
/**
 * Objects with large answers that one request asks at once. A group describes itself in megabytes, and a partition answers
 * a poll with a whole batch, before the request can tell that it has enough.
 */
export const LARGE_FAN_OUT = 6;

// An invocation of the Worker, which a session is for its whole life.
/**
 * Calls to objects after which a session ends and its client has to connect again. It is less than an invocation may make
 * (wrangler.toml, limits.subrequests).
 */
export const MAX_INVOCATION_CALLS = 900_000;
/**
 * The CPU, as it is estimated, after which a session ends and its client has to connect again: 60 % of what an invocation
 * may use (wrangler.toml, limits.cpu_ms). The rest is for what the estimate misses. A deployment with another `cpu_ms`
 * sets RIVULET_SESSION_CPU_MS.
 */
export const DEFAULT_SESSION_CPU_MS = 180_000;
/** The platform gives an invocation five minutes at most. */
export const MAX_SESSION_CPU_MS = 300_000;
/** How long a session that has to end waits for its client to acknowledge what it has in hand, and for its commit. */
export const SESSION_END_MS = 30_000;

// The Kafka protocol.
/**
 * One request, without its length field: the most that one produce
 * request may carry, and room for the fields around it.
 */
export const MAX_KAFKA_REQUEST_BYTES = 17 * MIB;
/** The buffer that waits for the next request of a connection. Thousands of idle ones have one. */
export const KAFKA_FIRST_READ_BYTES = 4 * KIB;
/**
 * A request gets a buffer as large as those that came before on its connection, up to this, the largest that Kafka's clients
 * send by their defaults. A larger one gets twice what has come of it.
 */
export const MAX_KAFKA_USUAL_BYTES = 1 * MIB;
/**
 * Produce requests of one connection that are served side by side, and their bytes: more than the five that Kafka's clients
 * send ahead, at the size that these send by their defaults.
 */
export const MAX_KAFKA_OVERLAPPED_REQUESTS = 8;
export const MAX_KAFKA_OVERLAPPED_BYTES = 8 * MIB;
/** Requests that came over one connection and are not answered: the largest, and as much again of what follows it. */
export const MAX_KAFKA_QUEUED_BYTES = 36 * MIB;
/**
 * Requests that came, and answers that are not taken, of all connections of an isolate: the most of one connection, and
 * room for many small ones.
 */
export const MAX_KAFKA_IN_FLIGHT_BYTES = 48 * MIB;
/**
 * While all connections have more than this in flight, none is read from before it is answered. So what some send ahead
 * never closes the connections of others.
 */
export const MAX_KAFKA_AHEAD_BYTES = MAX_KAFKA_IN_FLIGHT_BYTES / 2;
/**
 * One answer, as it is made and as it is written: the metadata of 1.4 million partitions, or the configs of some 10,000
 * topics. It is three quarters of what all connections may have in flight.
 */
export const MAX_KAFKA_ANSWER_BYTES = 36 * MIB;
/**
 * An answer goes out in parts, at first and at least of this size, and at most of the other, for a client that takes each part
 * within KAFKA_FAST_WRITE_MS. Each must be taken within MAX_KAFKA_STALLED_MS, so a client that slows down to 18 KB/s goes on.
 */
export const MIN_KAFKA_WRITE_BYTES = 256 * KIB;
export const MAX_KAFKA_WRITE_BYTES = 512 * KIB;
export const KAFKA_FAST_WRITE_MS = 500;
/**
 * The bytes that a WebSocket's client may not have taken when the next part of an answer is sent. They stay in memory
 * until the client goes, even if its connection is closed. They are so few that thousands of such clients do no harm,
 * and so many that a client that reads never waits long.
 */
export const MAX_KAFKA_UNREAD_BYTES = 256 * KIB;
/** Connections that one isolate serves. */
export const MAX_KAFKA_CONNECTIONS = 4_096;
/** A connection with no request for so long is closed, as Kafka does (`connections.max.idle.ms`). */
export const MAX_KAFKA_IDLE_MS = 10 * 60_000;
/** The same for a connection that never had a request. Every client begins with ApiVersions, at once. */
export const MAX_KAFKA_SILENT_MS = 10_000;
/**
 * A request that has begun must go on: so many bytes of it, or its end, within this time. A byte a second is too slow.
 */
export const MAX_KAFKA_HALF_SENT_MS = 10_000;
export const MIN_KAFKA_HALF_SENT_BYTES = 4 * KIB;
/**
 * Answers that are not taken for so long close their connection. A
 * client's reader may wait for its handler for a while.
 */
export const MAX_KAFKA_STALLED_MS = 30_000;
/** The number of nodes that the broker may present itself as. */
export const MAX_KAFKA_NODES = 16;
/** Members of groups for which one connection answers heartbeats by itself. */
export const MAX_KAFKA_WATCHES = 32;
/** Partitions that one connection appends to over sockets. */
export const MAX_KAFKA_APPEND_SOCKETS = 256;
/** Member ids that a classic group gave out and that nobody has joined with. The oldest makes room for the next. */
export const MAX_PENDING_CLASSIC_MEMBERS = 1_000;
/** How long such an id is good and waited for, unless the session is shorter. A client joins with it at once. */
export const MAX_PENDING_CLASSIC_MS = 10_000;
/** Elements of all arrays of one request. Each is an object in memory, many times its bytes. */
export const MAX_KAFKA_ELEMENTS = 200_000;
/** Partitions that one connection reads. */
export const MAX_KAFKA_FEEDS = 2_048;
/**
 * The bytes that one partition may push ahead of a connection's
 * fetches, at most and at least. One batch may exceed them.
 */
export const MAX_FEED_BYTES = 2 * MIB;
export const MIN_FEED_BYTES = 64 * KIB;
/**
 * Bytes pushed and not fetched, for one connection and for all of an isolate. Bytes beyond that are pushed again later.
 */
export const MAX_FEEDS_BYTES = 16 * MIB;
export const MAX_ALL_FEEDS_BYTES = 32 * MIB;

/** Sockets that look at one group: consoles. */
export const MAX_OBSERVERS_PER_GROUP = 100;

// Metrics.
/** What one life of an object may count for. */
export const MAX_METRICS_WEIGHT = 8;
/** The metrics are stored this often, while somebody tells something all the time. */
export const SAVE_METRICS_MS = 5 * 60_000;
/** When nobody has told anything for so long, they are stored with the next alarm: the MetricsObject may soon be evicted. */
export const METRICS_REST_MS = 3_000;
/** Topics and groups whose costs are told apart. What others cost is overhead. */
export const MAX_COST_OWNERS = 5_000;
/** Positions that a group tells the MetricsObject. */
export const MAX_REPORTED_POSITIONS = 2_000;

// Access.
/** Grants of one API key or token. Each is compared with every request. */
export const MAX_GRANTS = 100;
/** Bytes of all grants of a key or token as JSON, as they are written. */
export const MAX_GRANTS_BYTES = 8_000;
/**
 * Bytes of a caller as a socket keeps it: its principal, its grants with the name space in each, and the rest. An
 * attachment has 16,384 bytes. What is left of them is for a reader of the longest group, or for the longest member id.
 */
export const MAX_CALLER_BYTES = 15_200;
/** Characters of a name or prefix in a grant. A group id may be as long. */
export const MAX_GRANT_NAME_CHARS = 256;
/** Characters of a principal. A token's subject becomes one. */
export const MAX_PRINCIPAL_CHARS = 256;
/** Characters of a name space. Topic names have what is left of their own bound. */
export const MAX_NAMESPACE_CHARS = 64;
/** The largest value of a quota: far more than one object or isolate can do. */
export const MAX_QUOTA = 1_000_000_000_000;
/** The least number of bytes a second. */
export const MIN_QUOTA_BYTE_RATE = 1_024;
/** A quota's rate holds over this time. So much may come at once after a pause. Kafka has 11 samples of a second. */
export const QUOTA_WINDOW_MS = 1_000;
/** Quotas of an isolate or a partition that are used up in part at a time: one for each rate of each principal. */
export const MAX_QUOTA_BUCKETS = 30_000;
/** The same of tokens, of which there is no end. All who make tokens here have equal shares; other issuers' are apart. */
export const MAX_TOKEN_QUOTA_BUCKETS = 10_000;
/** The longest that a Kafka connection is muted at a time, and a reader's socket. What is left is waited for later. */
export const MAX_THROTTLE_MS = 10_000;
/** Lines of the audit log that are kept of changes, and as many of refusals, and the most that one answer holds. */
export const MAX_AUDIT_EVENTS = 10_000;
export const MAX_AUDIT_ANSWER_EVENTS = 1_000;
export const DEFAULT_AUDIT_EVENTS = 100;
/** Refusals of one principal, with the tokens that it made, that are told within AUDIT_RATE_MS. Others are counted. */
export const AUDIT_RATE = 10;
export const AUDIT_RATE_MS = 1_000;
/** Refusals of all principals that are told within AUDIT_RATE_MS, by one isolate. */
export const MAX_AUDIT_REFUSALS = 100;
/** Principals whose refusals are counted at a time. */
export const MAX_AUDIT_PRINCIPALS = 1_000;
/** Lines that wait for their way to the cluster, and how long refusals wait for others. */
export const MAX_AUDIT_PENDING = 1_000;
export const AUDIT_FLUSH_MS = 1_000;
/** Characters of a text in a line. */
export const MAX_AUDIT_TEXT_CHARS = 1_000;
/** API keys of one deployment. */
export const MAX_API_KEYS = 10_000;
/** Changes of keys that the cluster remembers. An isolate that asks for more is told to ask for its keys anew. */
export const MAX_KEY_CHANGES = 1_000;
/** How long an isolate takes an API key, or that there is none, for known. After that a revoked key is refused. */
export const API_KEY_AGE_MS = 10_000;
export const UNKNOWN_API_KEY_AGE_MS = 5_000;
export const API_KEY_CACHE = 10_000;
/** How long a key that was known goes on while the cluster's object is out of reach. */
export const STALE_API_KEY_AGE_MS = 3_600_000;
/** Characters of a token. Header lines of proxies end at 8 KiB. */
export const MAX_TOKEN_CHARS = 4_096;
/** How long an isolate takes a token for known whose signature it has verified, and how many of them. */
export const TOKEN_AGE_MS = 10_000;
export const TOKEN_CACHE = 1_000;
/** How long a token made here is good, in milliseconds. */
export const DEFAULT_TOKEN_TTL_MS = 15 * 60_000;
export const MIN_TOKEN_TTL_MS = 1_000;
export const MAX_TOKEN_TTL_MS = 24 * 3_600_000;
/** After so long an open socket asks whether its API key is still good. */
export const SOCKET_KEY_AGE_MS = 5 * 60_000;
/** The longest life of a Kafka connection's login, by Kafka's `connections.max.reauth.ms`. */
export const MAX_KAFKA_SESSION_MS = 24 * 3_600_000;

// Metrics. The MetricsObject holds all of this in memory: a number takes 36 bytes, by measurement, so all take 36 MB.
/** Objects and isolates that are remembered one by one. Beyond it, the one that was heard of longest ago is forgotten. */
export const MAX_METRICS_OBJECTS = 10_000;
/** The numbers that all of them have told: counters of lives, positions of groups, ends of logs with their times. */
export const MAX_METRICS_NUMBERS = 1_000_000;
/** Lives of one object. A life may be late, but hardly by more than one other life. */
export const MAX_METRICS_LIVES = 4;
/** Counters of one object, and of one sum. The counters beyond are counted together. An isolate has one for each outcome. */
export const MAX_METRICS_COUNTERS = 1_000;
/** Positions of one group. The lag in partitions beyond is not told. */
export const MAX_METRICS_POSITIONS = 10_000;
/** Topics and groups that have a name in metrics. The others are summed. Each one that has a name takes some 15 series. */
export const MAX_METRICS_TOPICS = 500;
export const MAX_METRICS_GROUPS = 500;
/** Classes of objects besides partitions and groups: the cluster's, the Worker's, those of the metrics themselves. */
export const MAX_METRICS_CLASSES = 20;
/** Incarnations of one topic's name. One that was deleted and created anew has two until the deletion is heard of. */
export const MAX_METRICS_TOPIC_IDS = 8;
/** Deleted topics and groups whose late snapshots are ignored, and for how long. */
export const MAX_METRICS_REMOVED = 1_000;
export const METRICS_LATE_MS = 2 * 60_000;
/** How often a busy object, or an isolate, tells about itself at most. */
export const METRICS_INTERVAL_MS = 60_000;
/** An isolate that has told nothing for so long has gone, and its connections with it. */
export const METRICS_ISOLATE_SILENT_MS = 5 * 60_000;
/** The ends of a log: one a minute for an hour, then one a quarter of an hour for a day. 60 and 96, with the edges. */
export const END_HISTORY_FINE_MS = 60 * 60_000;
export const END_HISTORY_COARSE_STEP_MS = 15 * 60_000;
export const END_HISTORY_MS = 24 * 60 * 60_000;
export const MAX_END_HISTORY_POINTS = 180;
/** Characters of a piece of the metrics' state. In UTF-8 they are three times as many bytes at most, of MAX_ROW_BYTES. */
export const MAX_METRICS_PIECE_CHARS = 600_000;
/**
 * Partitions and groups that are asked for fresh metrics at once. The free plan allows an invocation 1,000 calls to objects.
 */
export const MAX_METRICS_ASKED = 1_000;
/**
 * A group of more members reads all of them to say how it is. So it tells only when it has been awake for a while, which it
 * often is, and is not asked.
 */
export const FEW_METRICS_MEMBERS = 100;
/** Series of one scrape. A Prometheus of the smallest kind takes them. */
export const MAX_METRICS_SERIES = 20_000;
/** Groups that are listed with their lags at once. */
export const MAX_LISTED_LAGS = 1_000;
/** Characters of a label that is a reason, an error or an API. */
export const MAX_METRICS_LABEL_CHARS = 64;

// Alerts.
export const MAX_ALERT_RULES = 100;
/** Groups, partitions and budgets that meet rules at the same time. Each rule has an equal share of it. */
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
/** How long a webhook may take to answer. */
export const WEBHOOK_TIMEOUT_MS = 10_000;
/** A message that was not taken is sent again after this, then after ever longer, up to an hour. */
export const ALERT_RETRY_MS = 15_000;
export const MAX_ALERT_RETRY_MS = 3_600_000;
/** How long it is tried. */
export const ALERT_GIVE_UP_MS = 24 * 3_600_000;
/** How long metrics may go by before alerts are looked at again, while anything is told. */
export const ALERT_LOOK_MS = 10_000;

// Budgets.
export const MAX_BUDGET_DOLLARS = 1_000_000;
/** Topics with budgets, and principals with budgets that have done something today. Those beyond are not bounded. */
export const MAX_BUDGETS = 5_000;
/** The same of tokens with budgets of their own, in all and of one maker. Those beyond are bounded by what their makers have. */
export const MAX_TOKEN_BUDGETS = 2_000;
export const MAX_BUDGETS_PER_MAKER = 200;
/** Batches of what principals have cost that are remembered, so that one that comes again counts once. */
export const MAX_SPENT_BATCHES = 10_000;
/** Percent of a budget at which the audit log is told that it is nearly used up. */
export const BUDGET_WARNING_PERCENT = 80;

/** Characters of the name of a request. */
export const MAX_REQUEST_ID_CHARS = 64;
