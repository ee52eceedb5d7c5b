// Written by scripts/api-types.mjs from what `cairn openapi` prints. Not to be edited.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** What an operation takes. */
export interface Bodies {
  "backups.restore": {
    asOf?: number | string;
    endSessions?: boolean;
    record?: string;
    type?: string;
  };
  "owner_link.exchange": {
    secret: string;
  };
  "console.query": {
    query: JsonObject;
    as_of?: string | number | null;
  };
  "types.check": {
    id: string;
    schema: JsonObject;
    migratesFrom?: string;
  };
  "users.create": {
    email: string;
    password: string;
    displayName?: string;
    role?: "admin" | "editor" | "viewer";
  };
  "users.update": {
    role?: "admin" | "editor" | "viewer";
    displayName?: string | null;
    disabled?: boolean;
  };
  "live.admin.functions.set": {
    name?: string;
    kind: "query" | "mutation";
    args?: JsonObject;
    auth?: Json;
    query?: JsonObject;
    ops?: Array<JsonObject>;
    result?: Json;
    internal?: boolean;
    description?: string;
  };
  "live.admin.invite": {
    email: string;
    role?: string;
  };
  "live.admin.rules.set": JsonObject;
  "live.auth.forgot_password": {
    email: string;
  };
  "live.auth.magic_link": {
    email: string;
  };
  "live.auth.mfa.confirm": {
    code: string;
  };
  "live.auth.mfa.disable": {
    code?: string;
    recoveryCode?: string;
  };
  "live.auth.mfa.recovery_codes": {
    code: string;
  };
  "live.auth.mfa.verify": {
    mfaToken?: string;
    code?: string;
    recoveryCode?: string;
  };
  "live.auth.refresh": {
    refreshToken: string;
  };
  "live.auth.reset_password": {
    token: string;
    newPassword: string;
    new_password?: string;
    password?: string;
  };
  "live.auth.signin": {
    email: string;
    password: string;
  };
  "live.auth.signup": {
    email: string;
    password: string;
    displayName?: string;
    name?: string;
    avatarUrl?: string;
    invitation?: string;
  };
  "live.auth.verify": {
    token?: string;
  };
  "live.batch": {
    operations: Array<{
      method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
      path: string;
      body?: JsonObject;
    }>;
  };
  "live.data.create": JsonObject;
  "live.data.update": JsonObject;
  "live.data.update_by_post": JsonObject;
  "live.data.replace": JsonObject;
  "live.fn.call": JsonObject;
  "live.mutate": {
    ops: Array<{
      entity?: string;
      id?: string;
      data?: JsonObject;
      ifTx?: number;
      op?: "set" | "insert" | "merge" | "upsert" | "delete" | "link" | "unlink";
      target?: {
        entity?: string;
        id?: string;
      };
    }>;
  };
  "live.query": JsonObject;
  "live.storage.delete_by_body": {
    path: string;
  };
  "live.storage.resumable.begin": {
    path: string;
    contentType?: string;
    size: number;
    metadata?: JsonObject;
  };
  "live.transact": {
    ops: Array<{
      entity?: string;
      id?: string;
      data?: JsonObject;
      ifTx?: number;
      op?: "set" | "insert" | "merge" | "upsert" | "delete" | "link" | "unlink";
      target?: {
        entity?: string;
        id?: string;
      };
    }>;
  };
  "attachments.collect": {
    graceMs?: number;
    dryRun?: boolean;
  };
  "auth.challenge": {
    did: string;
  };
  "auth.token": {
    did: string;
    nonce: string;
    signature: string;
  };
  "entity.update": JsonObject;
  "records.create": {
    id?: string;
    typeId: string;
    content: JsonObject;
    parentId?: string;
    appId?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.query": {
    filter?: {
      typeId?: string | Array<string>;
      parentId?: string | null;
      appId?: string | Array<string>;
      entityId?: string | Array<string>;
      principalId?: string | Array<string>;
      tags?: Array<string>;
      hasAttachment?: string;
      attachmentFileId?: string;
      relatedTo?: {
        recordId: string;
        label?: string;
      };
      createdAt?: {
        before?: string;
        after?: string;
      };
      updatedAt?: {
        before?: string;
        after?: string;
      };
      search?: string;
      content?: JsonObject;
      includeDeleted?: boolean;
    } | null;
    sort?: {
      field: "createdAt" | "updatedAt" | "version";
      direction?: "asc" | "desc";
    } | null;
    limit?: number;
    cursor?: string | null;
    as_of?: string;
  };
  "records.update": JsonObject;
  "records.associate": {
    kind: "tag" | "attachment" | "relationship";
    label: string;
    fileId?: string;
    recordId?: string;
  };
  "records.dissociate_by_delete": {
    kind: "tag" | "attachment" | "relationship";
    label: string;
    fileId?: string;
    recordId?: string;
  };
  "records.dissociate": {
    kind: "tag" | "attachment" | "relationship";
    label: string;
    fileId?: string;
    recordId?: string;
  };
  "records.migrate": {
    toTypeId: string;
    content: JsonObject;
  };
  "records.set_permissions": {
    permissions: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
  };
  "tokens.issue": {
    entityId?: string;
    onBehalfOf?: string;
    label?: string;
    expiresAt?: string;
  };
  "types.register": {
    id: string;
    name: string;
    schema: JsonObject;
    schemaHash: string;
    migratesFrom?: string;
    search?: boolean;
  };
  "live.apps.auth.forgot_password": {
    email: string;
  };
  "live.apps.auth.magic_link": {
    email: string;
  };
  "live.apps.auth.mfa.confirm": {
    code: string;
  };
  "live.apps.auth.mfa.disable": {
    code?: string;
    recoveryCode?: string;
  };
  "live.apps.auth.mfa.recovery_codes": {
    code: string;
  };
  "live.apps.auth.mfa.verify": {
    mfaToken?: string;
    code?: string;
    recoveryCode?: string;
  };
  "live.apps.auth.refresh": {
    refreshToken: string;
  };
  "live.apps.auth.reset_password": {
    token: string;
    newPassword: string;
    new_password?: string;
    password?: string;
  };
  "live.apps.auth.signin": {
    email: string;
    password: string;
  };
  "live.apps.auth.signup": {
    email: string;
    password: string;
    displayName?: string;
    name?: string;
    avatarUrl?: string;
    invitation?: string;
  };
  "live.apps.auth.verify": {
    token?: string;
  };
  "live.apps.batch": {
    operations: Array<{
      method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
      path: string;
      body?: JsonObject;
    }>;
  };
  "live.apps.data.create": JsonObject;
  "live.apps.data.update": JsonObject;
  "live.apps.data.update_by_post": JsonObject;
  "live.apps.data.replace": JsonObject;
  "live.apps.fn.call": JsonObject;
  "live.apps.mutate": {
    ops: Array<{
      entity?: string;
      id?: string;
      data?: JsonObject;
      ifTx?: number;
      op?: "set" | "insert" | "merge" | "upsert" | "delete" | "link" | "unlink";
      target?: {
        entity?: string;
        id?: string;
      };
    }>;
  };
  "live.apps.query": JsonObject;
  "live.apps.storage.delete_by_body": {
    path: string;
  };
  "live.apps.storage.resumable.begin": {
    path: string;
    contentType?: string;
    size: number;
    metadata?: JsonObject;
  };
  "live.apps.transact": {
    ops: Array<{
      entity?: string;
      id?: string;
      data?: JsonObject;
      ifTx?: number;
      op?: "set" | "insert" | "merge" | "upsert" | "delete" | "link" | "unlink";
      target?: {
        entity?: string;
        id?: string;
      };
    }>;
  };
}

/** What an operation answers. */
export interface Replies {
  "stack.discover": {
    version: string;
    entityId: string;
    timezone?: string;
    capabilities: {
      fullTextSearch: boolean;
      contentFieldQuery?: boolean;
      sortableFields?: Array<string>;
      maxAttachmentBytes: number;
      maxContentBytes: number;
    };
    auth: {
      methods?: Array<string>;
    };
  };
  "backups.list": {
    folder: string;
    keep: number;
    running: {
      work: "backup" | "verify" | "restore";
      stage: string;
      done?: number;
      total?: number;
    } | null;
    lastVerified: {
      name: string;
      at: string;
      tx: number;
      bytes: number;
      verifiedAt: string;
    } | null;
    backups: Array<{
      name: string;
      at: string;
      bytes: number;
      tx?: number;
      verifiedAt: string | null;
      sound: boolean | null;
      sha256?: string;
      digest?: string;
      records?: number;
      deletedRecords?: number;
      versions?: number;
      files?: number;
      fileBytes?: number;
      types?: Array<{
        typeId: string;
        records: number;
        deletedRecords: number;
      }>;
      faults?: Array<string>;
    }>;
  };
  "backups.make": {
    name: string;
    at: string;
    bytes: number;
    tx?: number;
    verifiedAt: string | null;
    sound: boolean | null;
    sha256?: string;
    digest?: string;
    records?: number;
    deletedRecords?: number;
    versions?: number;
    files?: number;
    fileBytes?: number;
    types?: Array<{
      typeId: string;
      records: number;
      deletedRecords: number;
    }>;
    faults?: Array<string>;
  };
  "backups.restore": {
    created: number;
    changed: number;
    unchanged: number;
    files: number;
  };
  "backups.verify": {
    name: string;
    at: string;
    bytes: number;
    tx?: number;
    verifiedAt: string | null;
    sound: boolean | null;
    sha256?: string;
    digest?: string;
    records?: number;
    deletedRecords?: number;
    versions?: number;
    files?: number;
    fileBytes?: number;
    types?: Array<{
      typeId: string;
      records: number;
      deletedRecords: number;
    }>;
    faults?: Array<string>;
  };
  "changes": {
    changes: Array<{
      tx: number;
      seq: number;
      id: string;
      typeId: string | null;
      version: number;
      op: string;
      at: string;
      actor: string | null;
    }>;
    next: string;
    tx: number;
  };
  "doctor.get": {
    advice: Array<string>;
  };
  "access.explain": {
    allowed: boolean;
    rule: string;
  };
  "metrics.get": {
    everySeconds: number;
    samples: Array<{
      at: string;
      requests: number;
      refused: number;
      failed: number;
      averageMs: number;
      slowestMs: number;
      writes: number;
      subscriptions: number;
      walBytes: number;
      memoryBytes: number | null;
    }>;
  };
  "openapi.whole": JsonObject;
  "owner_link.exchange": {
    token: string;
    entityId: string;
  };
  "console.query": {
    data: JsonObject;
    tx: number;
    rows: number;
    asOf?: number | null;
    ms: number;
    plan: Array<{
      collection: string;
      steps: Array<string>;
    }>;
  };
  "requests.list": {
    requests: Array<{
      at: string;
      requestId: string;
      method: string;
      path: string;
      status: number;
      ms: number;
    }>;
  };
  "settings.get": {
    settings: Array<{
      key: string;
      value: string | null;
      origin: string;
      about: string;
      variable: string;
      flag: string | null;
    }>;
    file: string;
    version: string;
    owner: string;
    readOnly: boolean;
  };
  "stats.get": {
    types: Array<{
      typeId: string;
      records: number;
      deletedRecords: number;
    }>;
    memoryBytes?: number;
    records: number;
    deletedRecords: number;
    versions: number;
    changes: number;
    associations: number;
    files: number;
    fileBytes: number;
    tokens: number;
    databaseBytes: number;
    freeBytes: number;
    lastTx: number;
    walBytes: number;
    lastBackup?: {
      name: string;
      at: string;
      tx: number;
      bytes: number;
      verifiedAt: string;
    } | null;
  };
  "types.check": {
    exists: boolean;
    lookedAt: Array<string>;
    records: number;
    failing: number;
    examples: Array<{
      id: string;
      faults: Array<{
        path: string;
        message: string;
      }>;
    }>;
    drift: Array<{
      path: string;
      message: string;
    }>;
    duplicates: Array<string>;
    indexesMade: Array<string>;
    indexesDropped: Array<string>;
  };
  "users.list": {
    users: Array<{
      id: string;
      email: string;
      role: "admin" | "editor" | "viewer";
      displayName: string | null;
      createdAt: string;
      mfaEnabled: boolean;
      disabled: boolean;
    }>;
  };
  "users.create": {
    id: string;
    email: string;
    role: "admin" | "editor" | "viewer";
    displayName: string | null;
    createdAt: string;
    mfaEnabled: boolean;
    disabled: boolean;
  };
  "users.update": {
    id: string;
    email: string;
    role: "admin" | "editor" | "viewer";
    displayName: string | null;
    createdAt: string;
    mfaEnabled: boolean;
    disabled: boolean;
  };
  "live.admin.functions": {
    count: number;
    functions: Array<{
      name?: string;
      kind: "query" | "mutation";
      args?: JsonObject;
      auth?: Json;
      query?: JsonObject;
      ops?: Array<JsonObject>;
      result?: Json;
      internal?: boolean;
      description?: string;
    }>;
  };
  "live.admin.functions.set": {
    name?: string;
    kind: "query" | "mutation";
    args?: JsonObject;
    auth?: Json;
    query?: JsonObject;
    ops?: Array<JsonObject>;
    result?: Json;
    internal?: boolean;
    description?: string;
  };
  "live.admin.health": JsonObject;
  "live.admin.invite": JsonObject;
  "live.admin.rules": JsonObject;
  "live.admin.rules.set": JsonObject;
  "live.admin.schema": {
    entities?: Array<JsonObject>;
  };
  "live.admin.sessions": {
    count?: number;
    sessions?: Array<JsonObject>;
  };
  "live.admin.stats": JsonObject;
  "live.auth.forgot_password": {
    sent?: boolean;
  };
  "live.auth.magic_link": {
    sent?: boolean;
  };
  "live.auth.me": {
    id?: string;
    email?: string;
    role?: string;
    createdAt?: string;
    displayName?: string;
    avatarUrl?: string;
    metadata?: JsonObject;
    claims?: JsonObject;
    mfaEnabled?: boolean;
  };
  "live.auth.mfa.confirm": {
    mfaEnabled?: boolean;
  };
  "live.auth.mfa.disable": {
    mfaEnabled?: boolean;
  };
  "live.auth.mfa.enable": {
    secret?: string;
    qrCodeUri?: string;
    recoveryCodes?: Array<string>;
  };
  "live.auth.mfa.recovery_codes": {
    recoveryCodes?: Array<string>;
  };
  "live.auth.mfa.verify": {
    user?: {
      id?: string;
      email?: string;
      role?: string;
      createdAt?: string;
      displayName?: string;
      avatarUrl?: string;
      metadata?: JsonObject;
      claims?: JsonObject;
      mfaEnabled?: boolean;
    };
    accessToken?: string;
    refreshToken?: string;
    tokens?: {
      accessToken?: string;
      refreshToken?: string;
      expiresAt?: number;
    };
    expiresIn?: number;
    tokenType?: string;
    mfaRequired?: boolean;
    mfaToken?: string;
  };
  "live.auth.refresh": {
    user?: {
      id?: string;
      email?: string;
      role?: string;
      createdAt?: string;
      displayName?: string;
      avatarUrl?: string;
      metadata?: JsonObject;
      claims?: JsonObject;
      mfaEnabled?: boolean;
    };
    accessToken?: string;
    refreshToken?: string;
    tokens?: {
      accessToken?: string;
      refreshToken?: string;
      expiresAt?: number;
    };
    expiresIn?: number;
    tokenType?: string;
    mfaRequired?: boolean;
    mfaToken?: string;
  };
  "live.auth.reset_password": {
    success?: boolean;
  };
  "live.auth.sessions": {
    sessions?: Array<{
      id?: string;
      device?: string;
      ip?: string;
      lastUsedAt?: string;
      current?: boolean;
    }>;
  };
  "live.auth.signin": {
    user?: {
      id?: string;
      email?: string;
      role?: string;
      createdAt?: string;
      displayName?: string;
      avatarUrl?: string;
      metadata?: JsonObject;
      claims?: JsonObject;
      mfaEnabled?: boolean;
    };
    accessToken?: string;
    refreshToken?: string;
    tokens?: {
      accessToken?: string;
      refreshToken?: string;
      expiresAt?: number;
    };
    expiresIn?: number;
    tokenType?: string;
    mfaRequired?: boolean;
    mfaToken?: string;
  };
  "live.auth.signup": {
    user?: {
      id?: string;
      email?: string;
      role?: string;
      createdAt?: string;
      displayName?: string;
      avatarUrl?: string;
      metadata?: JsonObject;
      claims?: JsonObject;
      mfaEnabled?: boolean;
    };
    accessToken?: string;
    refreshToken?: string;
    tokens?: {
      accessToken?: string;
      refreshToken?: string;
      expiresAt?: number;
    };
    expiresIn?: number;
    tokenType?: string;
    mfaRequired?: boolean;
    mfaToken?: string;
  };
  "live.auth.verify": {
    user?: {
      id?: string;
      email?: string;
      role?: string;
      createdAt?: string;
      displayName?: string;
      avatarUrl?: string;
      metadata?: JsonObject;
      claims?: JsonObject;
      mfaEnabled?: boolean;
    };
    accessToken?: string;
    refreshToken?: string;
    tokens?: {
      accessToken?: string;
      refreshToken?: string;
      expiresAt?: number;
    };
    expiresIn?: number;
    tokenType?: string;
    mfaRequired?: boolean;
    mfaToken?: string;
  };
  "live.batch": {
    results: Array<JsonObject>;
    duration_ms?: number;
  };
  "live.data.list": {
    data: Array<{
      id: string;
    }>;
    total: number;
    hasMore: boolean;
    cursor?: string | null;
  };
  "live.data.create": {
    data: {
      id: string;
    };
    id: string;
    entity: string;
    tx?: number;
    txId?: string;
  };
  "live.data.get": {
    data: {
      id: string;
    };
    id: string;
    entity: string;
    tx?: number;
    txId?: string;
  };
  "live.data.update": {
    data: {
      id: string;
    };
    id: string;
    entity: string;
    tx?: number;
    txId?: string;
  };
  "live.data.update_by_post": {
    data: {
      id: string;
    };
    id: string;
    entity: string;
    tx?: number;
    txId?: string;
  };
  "live.data.replace": {
    data: {
      id: string;
    };
    id: string;
    entity: string;
    tx?: number;
    txId?: string;
  };
  "live.fn.call": {
    result: Json;
    tx: number;
    txId?: string;
    duration_ms?: number;
  };
  "api.health": {
    status: "ok" | "error";
    timestamp: string;
    service: string;
    version: string;
    uptime: number;
    app?: {
      name?: string;
    };
    success?: boolean;
    data?: JsonObject;
    request_id?: string;
  };
  "live.mutate": {
    tx: number;
    txId?: string;
    tx_id?: number;
    affected?: number;
    entity_ids?: Array<string>;
    results: Array<{
      op: string;
      id: string;
      entity?: string;
      data?: {
        id: string;
      };
      status: "created" | "updated" | "deleted" | "noop" | "linked" | "unlinked";
    }>;
  };
  "openapi.live": JsonObject;
  "live.presence": {
    room?: string;
    peers?: Array<{
      id?: string;
      userId?: string;
      data?: JsonObject;
    }>;
  };
  "live.query": {
    tx?: number;
    txId?: string;
    data?: Array<{
      id: string;
    }>;
    meta?: JsonObject;
  };
  "live.storage.list": {
    files?: Array<{
      path?: string;
      size?: number;
      contentType?: string;
      updatedAt?: string;
    }>;
    hasMore?: boolean;
    cursor?: string;
    nextCursor?: string;
  };
  "live.storage.delete_by_body": {
    ok?: boolean;
  };
  "live.storage.list_as_library": {
    files?: Array<{
      path?: string;
      size?: number;
      contentType?: string;
      updatedAt?: string;
    }>;
    hasMore?: boolean;
    cursor?: string;
    nextCursor?: string;
  };
  "live.storage.upload": {
    path?: string;
    url?: string;
    size?: number;
    contentType?: string;
    expiresAt?: string;
    etag?: string;
  };
  "live.storage.resumable.begin": {
    uploadId?: string;
    chunkSize?: number;
  };
  "live.storage.resumable.state": {
    uploadId?: string;
    received?: number;
    size?: number;
    complete?: boolean;
  };
  "live.storage.resumable.chunk": {
    received?: number;
  };
  "live.storage.resumable.complete": {
    path?: string;
    url?: string;
    size?: number;
    contentType?: string;
    expiresAt?: string;
    etag?: string;
  };
  "live.storage.link": {
    url?: string;
    expiresAt?: string;
    expiresIn?: number;
    path?: string;
    size?: number;
    contentType?: string;
    metadata?: JsonObject;
    etag?: string;
    updatedAt?: string;
  };
  "live.storage.get": {
    url?: string;
    expiresAt?: string;
    expiresIn?: number;
    path?: string;
    size?: number;
    contentType?: string;
    metadata?: JsonObject;
    etag?: string;
    updatedAt?: string;
  };
  "live.transact": {
    tx: number;
    txId?: string;
    tx_id?: number;
    affected?: number;
    entity_ids?: Array<string>;
    results: Array<{
      op: string;
      id: string;
      entity?: string;
      data?: {
        id: string;
      };
      status: "created" | "updated" | "deleted" | "noop" | "linked" | "unlinked";
    }>;
  };
  "attachments.upload": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
    fileId?: string;
  };
  "attachments.collect": {
    deleted: Array<string>;
    reclaimedBytes: number;
  };
  "auth.challenge": {
    nonce: string;
    expiresAt: string;
  };
  "auth.token": {
    token: string;
    expiresAt: string;
    principalId: string;
    subjectId: string;
  };
  "entity.get": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "entity.update": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "health": {
    status: "ok" | "error";
    timestamp: string;
    service: string;
    version: string;
    uptime: number;
    app?: {
      name?: string;
    };
    success?: boolean;
    data?: JsonObject;
    request_id?: string;
  };
  "openapi.plain": JsonObject;
  "records.list": {
    records: Array<{
      id: string;
      typeId: string;
      createdAt: string;
      updatedAt: string;
      content: JsonObject;
      version: number;
      parentId?: string;
      entityId?: string;
      appId?: string;
      principalId?: string;
      deletedAt?: string;
      permissions?: Array<{
        access: "public" | "entity" | "group";
        entityId?: string;
        groupId?: string;
        read?: boolean;
        write?: boolean;
        role?: "admin";
      }>;
      associations?: Array<{
        kind: "tag" | "attachment" | "relationship";
        label: string;
        fileId?: string;
        recordId?: string;
      }>;
    }>;
    cursor: string | null;
    total: null;
  };
  "records.create": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.query": {
    records: Array<{
      id: string;
      typeId: string;
      createdAt: string;
      updatedAt: string;
      content: JsonObject;
      version: number;
      parentId?: string;
      entityId?: string;
      appId?: string;
      principalId?: string;
      deletedAt?: string;
      permissions?: Array<{
        access: "public" | "entity" | "group";
        entityId?: string;
        groupId?: string;
        read?: boolean;
        write?: boolean;
        role?: "admin";
      }>;
      associations?: Array<{
        kind: "tag" | "attachment" | "relationship";
        label: string;
        fileId?: string;
        recordId?: string;
      }>;
    }>;
    cursor: string | null;
    total: null;
  };
  "records.get": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.update": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.delete": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.associations": {
    associations: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.associate": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.dissociate_by_delete": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.dissociate": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.migrate": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.permissions": {
    permissions: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
  };
  "records.set_permissions": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.restore": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.undelete": {
    id: string;
    typeId: string;
    createdAt: string;
    updatedAt: string;
    content: JsonObject;
    version: number;
    parentId?: string;
    entityId?: string;
    appId?: string;
    principalId?: string;
    deletedAt?: string;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
    associations?: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
  };
  "records.versions": Array<{
    version: number;
    typeId: string;
    content: JsonObject;
    updatedAt: string;
    entityId?: string;
    associations: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
  }>;
  "records.version": {
    version: number;
    typeId: string;
    content: JsonObject;
    updatedAt: string;
    entityId?: string;
    associations: Array<{
      kind: "tag" | "attachment" | "relationship";
      label: string;
      fileId?: string;
      recordId?: string;
    }>;
    permissions?: Array<{
      access: "public" | "entity" | "group";
      entityId?: string;
      groupId?: string;
      read?: boolean;
      write?: boolean;
      role?: "admin";
    }>;
  };
  "tokens.list": {
    tokens: Array<{
      id: string;
      principalId: string;
      subjectId: string;
      entityId: string;
      label: string | null;
      createdAt: string;
      expiresAt: string | null;
    }>;
  };
  "tokens.issue": {
    id: string;
    principalId: string;
    subjectId: string;
    entityId: string;
    label: string | null;
    createdAt: string;
    expiresAt: string | null;
    token?: string;
  };
  "types.list": Array<{
    id: string;
    baseId: string;
    version: number;
    name: string;
    schema: JsonObject;
    schemaHash: string;
    createdAt: string;
    migratesFrom?: string;
    search?: boolean;
  }>;
  "types.register": {
    id: string;
    baseId: string;
    version: number;
    name: string;
    schema: JsonObject;
    schemaHash: string;
    createdAt: string;
    migratesFrom?: string;
    search?: boolean;
  };
  "types.get": {
    id: string;
    baseId: string;
    version: number;
    name: string;
    schema: JsonObject;
    schemaHash: string;
    createdAt: string;
    migratesFrom?: string;
    search?: boolean;
  };
  "live.apps.auth.forgot_password": {
    sent?: boolean;
  };
  "live.apps.auth.magic_link": {
    sent?: boolean;
  };
  "live.apps.auth.me": {
    id?: string;
    email?: string;
    role?: string;
    createdAt?: string;
    displayName?: string;
    avatarUrl?: string;
    metadata?: JsonObject;
    claims?: JsonObject;
    mfaEnabled?: boolean;
  };
  "live.apps.auth.mfa.confirm": {
    mfaEnabled?: boolean;
  };
  "live.apps.auth.mfa.disable": {
    mfaEnabled?: boolean;
  };
  "live.apps.auth.mfa.enable": {
    secret?: string;
    qrCodeUri?: string;
    recoveryCodes?: Array<string>;
  };
  "live.apps.auth.mfa.recovery_codes": {
    recoveryCodes?: Array<string>;
  };
  "live.apps.auth.mfa.verify": {
    user?: {
      id?: string;
      email?: string;
      role?: string;
      createdAt?: string;
      displayName?: string;
      avatarUrl?: string;
      metadata?: JsonObject;
      claims?: JsonObject;
      mfaEnabled?: boolean;
    };
    accessToken?: string;
    refreshToken?: string;
    tokens?: {
      accessToken?: string;
      refreshToken?: string;
      expiresAt?: number;
    };
    expiresIn?: number;
    tokenType?: string;
    mfaRequired?: boolean;
    mfaToken?: string;
  };
  "live.apps.auth.refresh": {
    user?: {
      id?: string;
      email?: string;
      role?: string;
      createdAt?: string;
      displayName?: string;
      avatarUrl?: string;
      metadata?: JsonObject;
      claims?: JsonObject;
      mfaEnabled?: boolean;
    };
    accessToken?: string;
    refreshToken?: string;
    tokens?: {
      accessToken?: string;
      refreshToken?: string;
      expiresAt?: number;
    };
    expiresIn?: number;
    tokenType?: string;
    mfaRequired?: boolean;
    mfaToken?: string;
  };
  "live.apps.auth.reset_password": {
    success?: boolean;
  };
  "live.apps.auth.sessions": {
    sessions?: Array<{
      id?: string;
      device?: string;
      ip?: string;
      lastUsedAt?: string;
      current?: boolean;
    }>;
  };
  "live.apps.auth.signin": {
    user?: {
      id?: string;
      email?: string;
      role?: string;
      createdAt?: string;
      displayName?: string;
      avatarUrl?: string;
      metadata?: JsonObject;
      claims?: JsonObject;
      mfaEnabled?: boolean;
    };
    accessToken?: string;
    refreshToken?: string;
    tokens?: {
      accessToken?: string;
      refreshToken?: string;
      expiresAt?: number;
    };
    expiresIn?: number;
    tokenType?: string;
    mfaRequired?: boolean;
    mfaToken?: string;
  };
  "live.apps.auth.signup": {
    user?: {
      id?: string;
      email?: string;
      role?: string;
      createdAt?: string;
      displayName?: string;
      avatarUrl?: string;
      metadata?: JsonObject;
      claims?: JsonObject;
      mfaEnabled?: boolean;
    };
    accessToken?: string;
    refreshToken?: string;
    tokens?: {
      accessToken?: string;
      refreshToken?: string;
      expiresAt?: number;
    };
    expiresIn?: number;
    tokenType?: string;
    mfaRequired?: boolean;
    mfaToken?: string;
  };
  "live.apps.auth.verify": {
    user?: {
      id?: string;
      email?: string;
      role?: string;
      createdAt?: string;
      displayName?: string;
      avatarUrl?: string;
      metadata?: JsonObject;
      claims?: JsonObject;
      mfaEnabled?: boolean;
    };
    accessToken?: string;
    refreshToken?: string;
    tokens?: {
      accessToken?: string;
      refreshToken?: string;
      expiresAt?: number;
    };
    expiresIn?: number;
    tokenType?: string;
    mfaRequired?: boolean;
    mfaToken?: string;
  };
  "live.apps.batch": {
    results: Array<JsonObject>;
    duration_ms?: number;
  };
  "live.apps.data.list": {
    data: Array<{
      id: string;
    }>;
    total: number;
    hasMore: boolean;
    cursor?: string | null;
  };
  "live.apps.data.create": {
    data: {
      id: string;
    };
    id: string;
    entity: string;
    tx?: number;
    txId?: string;
  };
  "live.apps.data.get": {
    data: {
      id: string;
    };
    id: string;
    entity: string;
    tx?: number;
    txId?: string;
  };
  "live.apps.data.update": {
    data: {
      id: string;
    };
    id: string;
    entity: string;
    tx?: number;
    txId?: string;
  };
  "live.apps.data.update_by_post": {
    data: {
      id: string;
    };
    id: string;
    entity: string;
    tx?: number;
    txId?: string;
  };
  "live.apps.data.replace": {
    data: {
      id: string;
    };
    id: string;
    entity: string;
    tx?: number;
    txId?: string;
  };
  "live.apps.fn.call": {
    result: Json;
    tx: number;
    txId?: string;
    duration_ms?: number;
  };
  "live.apps.mutate": {
    tx: number;
    txId?: string;
    tx_id?: number;
    affected?: number;
    entity_ids?: Array<string>;
    results: Array<{
      op: string;
      id: string;
      entity?: string;
      data?: {
        id: string;
      };
      status: "created" | "updated" | "deleted" | "noop" | "linked" | "unlinked";
    }>;
  };
  "live.apps.presence": {
    room?: string;
    peers?: Array<{
      id?: string;
      userId?: string;
      data?: JsonObject;
    }>;
  };
  "live.apps.query": {
    tx?: number;
    txId?: string;
    data?: Array<{
      id: string;
    }>;
    meta?: JsonObject;
  };
  "live.apps.storage.list": {
    files?: Array<{
      path?: string;
      size?: number;
      contentType?: string;
      updatedAt?: string;
    }>;
    hasMore?: boolean;
    cursor?: string;
    nextCursor?: string;
  };
  "live.apps.storage.delete_by_body": {
    ok?: boolean;
  };
  "live.apps.storage.list_as_library": {
    files?: Array<{
      path?: string;
      size?: number;
      contentType?: string;
      updatedAt?: string;
    }>;
    hasMore?: boolean;
    cursor?: string;
    nextCursor?: string;
  };
  "live.apps.storage.upload": {
    path?: string;
    url?: string;
    size?: number;
    contentType?: string;
    expiresAt?: string;
    etag?: string;
  };
  "live.apps.storage.resumable.begin": {
    uploadId?: string;
    chunkSize?: number;
  };
  "live.apps.storage.resumable.state": {
    uploadId?: string;
    received?: number;
    size?: number;
    complete?: boolean;
  };
  "live.apps.storage.resumable.chunk": {
    received?: number;
  };
  "live.apps.storage.resumable.complete": {
    path?: string;
    url?: string;
    size?: number;
    contentType?: string;
    expiresAt?: string;
    etag?: string;
  };
  "live.apps.storage.link": {
    url?: string;
    expiresAt?: string;
    expiresIn?: number;
    path?: string;
    size?: number;
    contentType?: string;
    metadata?: JsonObject;
    etag?: string;
    updatedAt?: string;
  };
  "live.apps.storage.get": {
    url?: string;
    expiresAt?: string;
    expiresIn?: number;
    path?: string;
    size?: number;
    contentType?: string;
    metadata?: JsonObject;
    etag?: string;
    updatedAt?: string;
  };
  "live.apps.transact": {
    tx: number;
    txId?: string;
    tx_id?: number;
    affected?: number;
    entity_ids?: Array<string>;
    results: Array<{
      op: string;
      id: string;
      entity?: string;
      data?: {
        id: string;
      };
      status: "created" | "updated" | "deleted" | "noop" | "linked" | "unlinked";
    }>;
  };
}
