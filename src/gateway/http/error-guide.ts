/**
 * What each code of the error table means to the person who meets it, and what to do. The one source of `docs/errors.md`
 * (written by `npm run docs`, compared by a test) and of the page at `/docs/errors`.
 */
import type { ErrorCode } from '../../errors.ts';

interface Advice {
  readonly meaning: string;
  readonly todo: string;
}

export const ERROR_GUIDE: Readonly<Record<ErrorCode, Advice>> = {
  bad_request: {
    meaning: 'The request is not HTTP as this service understands it, or the JSON body is no object.',
    todo: 'Read `detail`; compare with the examples of the reference.',
  },
  bad_json: {
    meaning: 'The body says it is JSON, but cannot be parsed, is not UTF-8, or is nested too deeply.',
    todo: 'Send valid JSON in UTF-8. `detail` names the place where it breaks.',
  },
  bad_multipart: {
    meaning: 'The form has no boundary, ends too early, or has more files, fields or headers than are allowed.',
    todo: 'Let your HTTP library make the form; send one file, in the field `image`, `file` or `input`.',
  },
  bad_parameter: {
    meaning: 'A header, a query parameter or a field has a value that cannot be used, or a name that is not known.',
    todo: 'Read `detail`: it names the parameter, what came and what was expected.',
  },
  deadline_in_past: {
    meaning: 'The deadline (`Cancel-After` or `deadline`) lies before now, by the clock of the gateway.',
    todo: 'Send a later one; check the clock and the unit (seconds, or an ISO 8601 time with a zone).',
  },
  bad_tensor: {
    meaning: 'A tensor has more or fewer bytes or elements than its datatype and shape say, or its data is cut off.',
    todo: 'Compare the shape with the data. In the binary form, `binary_data_size` is the length of the data in bytes.',
  },
  missing_input: {
    meaning: 'There is no input: no body, no `input` in the JSON, or no file in the form.',
    todo: 'Send one. With curl: `-F image=@photo.jpg`; without the `@` only the name is sent.',
  },
  unauthorized: {
    meaning:
      'No API key came with the request, or one that does not count: mistyped, unknown here, revoked or expired.',
    todo: 'Send `Authorization: Bearer <key>`. Whoever runs the gateway makes keys with `postern keys create`.',
  },
  forbidden: {
    meaning:
      'The key counts, but not for this: it lacks the scope or the model that `detail` names. Or a page of another site sent the request.',
    todo: 'Use a key with that scope or model.',
  },
  body_too_large: {
    meaning:
      'The body is larger than the limit (20 MiB unless it was set otherwise). It was refused before it was read.',
    todo: 'Send a smaller input: a photo of 1024 pixels is more than the models look at.',
  },
  headers_too_large: {
    meaning: 'The headers of the request are larger than 16 KiB in all.',
    todo: 'Send fewer or shorter headers; often a cookie has grown.',
  },
  unsupported_media_type: {
    meaning: 'The Content-Type is none that a prediction can be made of.',
    todo: 'Use `application/json`, `multipart/form-data`, `image/*` or `application/octet-stream`.',
  },
  not_found: {
    meaning: 'No route has this address, or the prediction has no output (yet).',
    todo: 'Check the address against the reference.',
  },
  method_not_allowed: {
    meaning: 'The address exists, but not for this method.',
    todo: 'Use one of those in the `Allow` header.',
  },
  upgrade_refused: {
    meaning: 'The request asks to change the protocol of its connection (a WebSocket). Only HTTP passes through.',
    todo: 'Use server-sent events or a streamed body, which pass through as they come.',
  },
  prediction_not_found: {
    meaning: 'There is no prediction with this id: it never was, or its result has been forgotten.',
    todo: 'Check the id. Read results while they are kept (an hour unless it was set otherwise).',
  },
  guide_not_found: {
    meaning: 'This gateway serves no field guide with this name.',
    todo: 'Look at `GET /api/guides`; the folders come from `POSTERN_GUIDES_DIR` and `--guide`.',
  },
  entry_not_found: {
    meaning: 'The guide has no entry with this id, and no listed entry has it as a member.',
    todo: 'Find the id by `GET /api/guides/{guide}/entries?q=…`.',
  },
  identification_not_found: {
    meaning:
      'This owner has no identification with this id: it was deleted, its time is over, or it is somebody else’s.',
    todo: 'Send the token of the owner (the cookie, or `X-Guide-Owner`); list your own with `GET /api/identifications`.',
  },
  photo_not_found: {
    meaning:
      'The photo is kept no longer: photos of the field guide expire, and a shared result shows them only if its owner chose to.',
    todo: 'Send the photo again.',
  },
  share_not_found: {
    meaning: 'The link never was, its owner ended it, or what it showed was deleted or has expired.',
    todo: 'Ask whoever gave it to you for a new one.',
  },
  not_decided: {
    meaning: 'There is no outcome yet that could be judged or shared.',
    todo: 'Wait with `GET /api/identifications/{id}?wait=25` until its `status` is `decided`.',
  },
  cursor_expired: {
    meaning: 'The ranking that the cursor belongs to was replaced more than an hour ago.',
    todo: 'Begin again without a cursor.',
  },
  file_not_found: {
    meaning: 'No file has this id: it was never uploaded, was deleted, its day is over, or it is another caller’s.',
    todo: 'Upload it again.',
  },
  model_not_found: {
    meaning: 'No worker has ever announced this model or version to this gateway.',
    todo: 'Look at `GET /v1/models`; check the spelling, and that the worker with the model has connected once.',
  },
  request_timeout: {
    meaning: 'The request did not arrive completely in time (60 s unless it was set otherwise).',
    todo: 'Try again over a better connection, or send less.',
  },
  input_url_refused: {
    meaning:
      'The input names an address that the gateway does not fetch: it is not on the public internet, not `https://`, on a port of another protocol, or carries a password. Redirects are checked too.',
    todo: 'Send the file itself or a data URL. For a server in your own network, its operator lists it in `POSTERN_OUTBOUND_ALLOW`.',
  },
  input_url_failed: {
    meaning:
      'The server at the address of the input did not give the file: no answer, another status than 200, too slow.',
    todo: 'Read `detail`; try the address from a machine that is not in your network.',
  },
  webhook_refused: {
    meaning:
      'The webhook is an address that the gateway does not call: not on the public internet, not `https://`, on a port of another protocol, or with a password.',
    todo: 'Use a public `https://` address. For a receiver in your own network, its operator lists it in `POSTERN_OUTBOUND_ALLOW`.',
  },
  webhook_unverified: {
    meaning:
      'Thrown by `verifyWebhook` at a receiver: the signature does not fit, or the time is more than five minutes off.',
    todo: 'Answer it with 401. If it is your own gateway: check the secret, both clocks, and that the body is verified as it came.',
  },
  idempotency_mismatch: {
    meaning: 'The `Idempotency-Key` was used before with a different request.',
    todo: 'Use a new key for a new request; repeat a request unchanged.',
  },
  rollout_refused: {
    meaning:
      'There is no earlier version to go back to, no other version to share the work with, or somebody else changed the versions in the same moment.',
    todo: 'Read `detail`, and look at `postern models versions` for what is deployed and what each worker has.',
  },
  retry_refused: {
    meaning:
      'Only a prediction that failed or was aborted is tried again, and only while its input is kept: as long as the prediction, the newest inputs first (`POSTERN_MAX_FAILED_INPUT_BYTES`).',
    todo: 'Send the input again as a new prediction.',
  },
  not_an_image: {
    meaning: 'The worker found no image that it can decode in the input.',
    todo: 'Send a JPEG, PNG or WebP, and not, say, the page that shows it.',
  },
  image_truncated: {
    meaning: 'The image begins well and ends too early.',
    todo: 'Copy or upload the file again.',
  },
  image_too_large: {
    meaning: 'The image has more pixels than the worker decodes, however few bytes it takes.',
    todo: 'Make it smaller before sending it.',
  },
  empty_input: { meaning: 'The input has zero bytes.', todo: 'Check that the file was read before it was sent.' },
  input_invalid: {
    meaning: 'The input or a parameter is not what this kind of model takes.',
    todo: 'Read `detail`; look at the kind of the model in `GET /v1/models`.',
  },
  rate_limited: {
    meaning: 'The key was used more often than its rate allows.',
    todo: 'Wait as long as `Retry-After` says, then try again.',
  },
  file_quota_exceeded: {
    meaning: 'The files that this caller has uploaded take all the room that one caller gets.',
    todo: 'Delete some (`DELETE /v1/files/{id}`), or wait until their day is over.',
  },
  quota_exceeded: {
    meaning: 'As many predictions of this key are undecided as it may have at once.',
    todo: 'Wait for one of them to be decided, or cancel one, then try again.',
  },
  queue_full: {
    meaning: 'As many jobs wait for this model as are allowed to.',
    todo: 'Wait as long as `Retry-After` says, then try again.',
  },
  no_worker: {
    meaning: 'No connected worker serves this model, and the request is not of the kind that is kept until one does.',
    todo: 'Try again later; see `GET /v1/models` for when one was last seen.',
  },
  draining: {
    meaning: 'The gateway finishes what it has and takes nothing new, usually because a new release takes over.',
    todo: 'Try again after `Retry-After`, on a new connection.',
  },
  maintenance: {
    meaning: 'The operator closed the gateway for a while. Jobs that were accepted are kept, and go on.',
    todo: 'Try again after `Retry-After`; the message says what the operator wrote.',
  },
  overloaded: {
    meaning: 'The memory set aside for inputs is full at this moment.',
    todo: 'Wait as long as `Retry-After` says, then try again.',
  },
  storage_full: {
    meaning: 'The disk that keeps inputs or results is full.',
    todo: 'Try again later; whoever runs the gateway frees space or lets results be kept for a shorter time.',
  },
  storage_failed: {
    meaning: 'The disk that keeps inputs or results reported an error, so nothing was accepted.',
    todo: 'Try again later; whoever runs the gateway looks at the log and at the disk.',
  },
  deadline_exceeded: {
    meaning: 'The deadline of the prediction passed before it was done.',
    todo: 'Allow more time, or look at `metrics` for where the time goes.',
  },
  canceled: { meaning: 'Somebody canceled the prediction.', todo: 'Make a new one if it is still wanted.' },
  model_failed: {
    meaning: 'The model itself failed on this input. The same input would fail again.',
    todo: 'Try another input; tell the owner of the model, whose worker has it in its log.',
  },
  model_unavailable: {
    meaning: 'The worker that had the job does not have the model loaded (any more).',
    todo: 'Try again; if it stays, look at `state` in `GET /v1/models`.',
  },
  output_invalid: {
    meaning: 'The worker answered with something that is not what it said it would be.',
    todo: 'Nothing that a caller can do; the owner of the worker should look at its version.',
  },
  output_too_large: {
    meaning: 'The output of the model is larger than what may be sent through the link.',
    todo: 'Ask the model for less, where it has a parameter for it.',
  },
  attempts_exhausted: {
    meaning: 'Each attempt was interrupted: workers were lost while they had this job.',
    todo: 'Try again later. If it is always the same input, that input may be what kills the worker.',
  },
  model_timeout: {
    meaning: 'The model worked on this input for longer than its owner allows, and its process was ended.',
    todo: 'Send less at once. If ordinary inputs take that long, the owner of the model raises python.predict_timeout_s.',
  },
  runner_crashed: {
    meaning:
      'The process that runs the model died while it had this input. A worker reports it for each input of the batch.',
    todo: 'Nothing: the input is tried again, alone. If it is always the same input, that input kills the runner.',
  },
  service_failed: {
    meaning:
      'The local HTTP server behind the worker could not be reached, or broke off before it answered. `detail` says which.',
    todo: 'Try again, unless the request must not be made twice; look at the server and its log on the worker’s machine.',
  },
  gateway_lost: {
    meaning:
      'Another gateway worked on the request, and was lost before it answered. Whether the work was done is not known.',
    todo: 'Ask again, where doing it twice does no harm.',
  },
  worker_lost: {
    meaning: 'The worker was not heard any more while it had the job.',
    todo: 'Try again; the job is given to another worker by itself while attempts are left.',
  },
  protocol_error: {
    meaning: 'One side of the link sent what `postern/1` does not allow; the connection was closed.',
    todo: 'Check that both sides run releases that belong together.',
  },
  frame_too_large: {
    meaning: 'A frame on the link announced more bytes than are allowed.',
    todo: 'Check the versions of both sides, and that nothing else speaks on that port.',
  },
  message_invalid: {
    meaning: 'A message on the link does not fit its schema.',
    todo: 'Check that both sides run releases that belong together.',
  },
  flow_control: {
    meaning: 'One side of the link sent more than the other had allowed.',
    todo: 'Check that both sides run releases that belong together.',
  },
  version_mismatch: {
    meaning: 'Gateway and worker have no version of the protocol in common.',
    todo: 'Update the older one.',
  },
  handshake_timeout: {
    meaning: 'The other side connected and then did not introduce itself within 5 s.',
    todo: 'Run `postern doctor` on the worker; look for something between the two that holds connections up.',
  },
  handshake_refused: {
    meaning: 'The gateway does not let this worker in: certificate, name, or an outdated session.',
    todo: 'Read the reason; run `postern doctor` on the worker.',
  },
  worker_revoked: {
    meaning:
      'The worker was revoked with `postern revoke`: its sessions are closed and its certificate counts no more.',
    todo: 'If it is to come back: `postern invite` on the gateway, `postern join` on the worker.',
  },
  worker_locked: {
    meaning:
      'A certificate that the worker had already replaced was used again: somebody has a copy of its key, or its folder was restored from an old backup. Neither side gets in.',
    todo: 'Find out which. Then `postern invite <name> --replace` on the gateway, and `postern join` on the right machine.',
  },
  enrolment_refused: {
    meaning:
      'The invitation or the request for a certificate cannot be used: used, expired, wrong, or for another name.',
    todo: 'Read the reason; `postern invite` on the gateway makes a new invitation.',
  },
  already_linked: {
    meaning: 'A worker that looks for the other gateways of its cluster met one that it has a session with.',
    todo: 'Nothing: behind a load balancer that is how it finds them. It tries again by itself.',
  },
  superseded: {
    meaning: 'The same worker connected again; this older session is over.',
    todo: 'Nothing, after a reconnect. If it repeats, two machines use one identity: give each its own.',
  },
  peer_dead: {
    meaning: 'Nothing was heard from the other side of the link for 15 s.',
    todo: 'The worker dials again by itself. If it repeats, run `postern doctor` on the worker.',
  },
  write_stalled: {
    meaning: 'The other side of the link did not take any bytes for 10 s.',
    todo: 'The worker dials again by itself. If it repeats, run `postern doctor` on the worker.',
  },
  connection_lost: {
    meaning: 'The link was cut.',
    todo: 'The worker dials again by itself; jobs that it had are kept for the length of their lease.',
  },
  config_invalid: {
    meaning: 'A setting, a key or a file of the installation cannot be used.',
    todo: 'The message names every setting and what it expects.',
  },
  model_invalid: {
    meaning: 'The folder of a model has something missing or wrong; the other models are served.',
    todo: 'The message names every key of `postern.yaml` that is wrong.',
  },
  deploy_locked: {
    meaning: 'Another deploy holds the lock, or a switch is under way.',
    todo: 'Wait for it; `postern releases` shows who it is. `postern unlock` takes a lock that was left behind.',
  },
  release_invalid: {
    meaning: 'A release has no folder, or its `release.json` is missing or wrong.',
    todo: 'Deploy it again; `postern releases` lists those that can be used.',
  },
  release_unhealthy: {
    meaning:
      'A release did not start, did not become ready in time, or was not reached through the front. The one before it serves.',
    todo: 'Read the end of its log, which the message shows; correct it, and deploy again.',
  },
  schema_too_new: {
    meaning: 'The release would change the database so that the one that serves now could not go on working.',
    todo: 'Deploy the release between them first; docs/architecture/releases.md explains the rule.',
  },
  deploy_failed: {
    meaning: 'A step of `postern deploy` or `postern worker install` failed on the machine that it works on.',
    todo: 'Read which step and why; what served before serves. Run the command again when the cause is gone.',
  },
  supervisor_unreachable: {
    meaning: 'No supervisor listens on the control socket of this folder.',
    todo: 'Start it (`postern supervise`, or its unit), or correct `POSTERN_DEPLOY_DIR`.',
  },
  model_store_failed: {
    meaning: 'The place that models are pulled from or pushed to did not answer, or refused.',
    todo: 'Read the reason, and run the command again: it goes on where it was cut off.',
  },
  address_in_use: {
    meaning: 'Another process listens on the port.',
    todo: 'Stop it, or choose another port.',
  },
  unreachable: {
    meaning: 'The gateway did not answer at its address.',
    todo: 'Check the address, that the gateway runs, and the network between; `postern doctor` tries each step.',
  },
  internal: {
    meaning: 'A mistake in Postern itself. The log has its cause under the `request_id`.',
    todo: 'Try again; report it with the log if it stays.',
  },
};
