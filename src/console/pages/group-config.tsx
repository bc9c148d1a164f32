// The config of a group, and its deletion.
import { useState } from "preact/hooks";
import type { GroupInfo } from "../../core/group-info.ts";
import type { GroupConfigInfo } from "../../core/topic-info.ts";
import { groupPath } from "../../protocol/paths.ts";
import { announce } from "../announce.ts";
import { get, request } from "../api.ts";
import { useLoad } from "../load.ts";
import { navigate } from "../navigation.ts";
import { paths } from "../router.ts";
import { isOffered } from "../session.ts";
import { ConfigTable } from "../ui/config-table.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { Loaded } from "../ui/states.tsx";

export function GroupConfig({ group }: { group: GroupInfo }) {
  const { groupId, members } = group;
  const [isDeleting, setDeleting] = useState(false);
  const loading = useLoad(
    (aborted) => get<GroupConfigInfo>(`${groupPath(groupId)}/config`, aborted),
    [groupId],
  );
  const change = async (config: Readonly<Record<string, unknown>>) => {
    await request("PATCH", groupPath(groupId), { body: { config } });
    loading.reload();
  };
  const remove = async () => {
    await request("DELETE", groupPath(groupId));
    announce(`Group ${groupId} was deleted.`);
    navigate(paths.groups());
  };
  return (
    <>
      <h2>Config</h2>
      <Loaded what="the config" loading={loading}>
        {(config) => (
          <ConfigTable
            caption="Config of the group"
            config={config}
            defaults={null}
            sourceOf={() => "default"}
            own="this group"
            isEditable={isOffered("ALTER_CONFIGS", "group", groupId)}
            onChange={change}
          />
        )}
      </Loaded>
      {isOffered("DELETE", "group", groupId) && (
        <>
          <h2>Delete the group</h2>
          <p>
            {members.length > 0
              ? "A group with members cannot be deleted: stop them first."
              : "Its committed offsets and its history are deleted with it."}
          </p>
          <button
            type="button"
            class="dangerous"
            disabled={members.length > 0}
            onClick={() => setDeleting(true)}
          >
            Delete the group…
          </button>
        </>
      )}
      {isDeleting && (
        <Confirm
          title="Delete the group?"
          name={groupId}
          action="Delete the group"
          act={remove}
          onClose={() => setDeleting(false)}
        >
          <p>
            <span class="data">{groupId}</span> loses its committed offsets and its history. This
            cannot be undone.
          </p>
        </Confirm>
      )}
    </>
  );
}
