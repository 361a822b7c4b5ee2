// Names of settings that hold secrets: their values are never shown.

const secretKeys = /^(token|password|apiKey|botToken|secret|appSecret|clientSecret|encodingAesKey|redisUrl)$/;

export const isSecretKey = (key: string): boolean => secretKeys.test(key);
