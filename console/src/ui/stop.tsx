/** Stops a job, after it was said what that means. */

import { useState } from "react";
import { answerOf, api } from "../api/client";
import { useText } from "../i18n/text";
import { useAction } from "./action";
import { Ask } from "./dialog";

/** `what`: the job as people call it. */
export function StopJob({ job_id, what }: { job_id: string; what: string }) {
  const text = useText();
  const [isAsked, setAsked] = useState(false);
  const action = useAction({
    call: () => answerOf(api.POST("/v1/jobs/{job_id}/cancel", { params: { path: { job_id } } })),
    done: () => text("job.was_stopped", { what }),
    changes: [["jobs"]],
    after: () => setAsked(false),
  });
  return (
    <>
      <button type="button" className="button" onClick={() => setAsked(true)}>
        {text("job.stop")}
        <span className="hidden-visually"> {what}</span>
      </button>
      {isAsked && (
        <Ask
          title={text("job.stop_title", { what })}
          what={<p>{text("job.stop_what")}</p>}
          confirm={text("job.stop")}
          danger
          isBusy={action.isPending}
          error={action.error}
          onConfirm={() => action.mutate(undefined)}
          onClose={() => setAsked(false)}
        />
      )}
    </>
  );
}
