// The health of the broker: its release, its storage, and the tasks that objects have not yet received.
import { DOCTOR_PATH } from "../../protocol/paths.ts";
import { get, ProblemError } from "../api.ts";
import { countText } from "../format.ts";
import { useLoad } from "../load.ts";
import { isOffered } from "../session.ts";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { VERSION } from "../version.ts";

interface Task {
  readonly id: number;
  readonly type: string;
  readonly about: string;
}

const COLUMNS: readonly Column<Task>[] = [
  { title: "Task", cell: ({ id }) => id },
  { title: "Type", cell: ({ type }) => type },
  { title: "About", cell: ({ about }) => <span class="data">{about}</span> },
];

export function HealthPage() {
  const health = useLoad(loadHealth, []);
  const licenses = document.querySelector('link[rel="license"]')?.getAttribute("href");
  return (
    <>
      <h1>Health</h1>
      <Loaded what="the health" loading={health}>
        {(status) => (
          <dl class="facts">
            <div>
              <dt>Storage</dt>
              <dd>
                <strong class={status === "ok" ? "ok-text" : "danger-text"}>{status}</strong>
              </dd>
            </div>
            <div>
              <dt>Release</dt>
              <dd>{VERSION}</dd>
            </div>
          </dl>
        )}
      </Loaded>
      {isOffered("DESCRIBE", "cluster") && <Tasks />}
      <p>
        <code>rivulet doctor</code> compares the objects' data about each other, and repairs it.{" "}
        {licenses !== null && licenses !== undefined && (
          <a href={licenses}>Licenses of the console's components</a>
        )}
      </p>
    </>
  );
}

/** An answer about failing storage is an answer too, with its own status. */
async function loadHealth(aborted: AbortSignal): Promise<string> {
  try {
    return (await get<{ status: string }>("/health", aborted)).status;
  } catch (error) {
    if (error instanceof ProblemError && error.status === 503)
      return "the storage of some objects fails; the operator's log names them";
    throw error;
  }
}

function Tasks() {
  const loading = useLoad(
    (aborted) => get<{ tasks: readonly Task[] }>(`${DOCTOR_PATH}/tasks`, aborted),
    [],
  );
  return (
    <>
      <h2>Pending tasks</h2>
      <Loaded what="the tasks" loading={loading}>
        {({ tasks }) =>
          tasks.length === 0 ? (
            <Empty>There are no pending tasks.</Empty>
          ) : (
            <Table
              caption={countText(tasks.length, "pending task")}
              columns={COLUMNS}
              rows={tasks}
              keyOf={({ id }) => String(id)}
            />
          )
        }
      </Loaded>
    </>
  );
}
